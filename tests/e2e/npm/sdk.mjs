// Centrifugo's JavaScript SDK as a program: what happens to it goes out as JSON lines, and what
// it is to do comes in as JSON lines.
//
// node sdk.mjs URL_OF_SERVER TRANSPORT json|protobuf TOKEN CHANNEL [delta]
import { createInterface } from 'node:readline';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { Centrifuge as JsonCentrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';

const [, , server, transport, encoding, token, channel, delta] = process.argv;
const binary = encoding === 'protobuf';
const encode = (value) => (binary ? new TextEncoder().encode(JSON.stringify(value)) : value);
const decode = (value) => (binary ? JSON.parse(new TextDecoder().decode(value)) : value);
const tell = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');

const scheme = transport === 'websocket' ? 'ws' : 'http';
const endpoint = `${scheme}://${server}/connection/${transport}`;
const options = {
  token,
  websocket: WebSocket,
  eventsource: EventSource,
  emulationEndpoint: `http://${server}/emulation`,
  minReconnectDelay: 50,
  maxReconnectDelay: 200,
};
const Client = binary ? ProtobufCentrifuge : JsonCentrifuge;
const client = new Client([{ transport, endpoint }], options);
client.on('connected', (ctx) => tell('connected', { transport: ctx.transport }));
client.on('connecting', (ctx) => tell('connecting', { code: ctx.code }));
client.on('disconnected', (ctx) => tell('disconnected', { code: ctx.code }));
client.on('message', (ctx) => tell('message', { data: decode(ctx.data) }));
client.on('publication', (ctx) => tell('server publication', { data: decode(ctx.data) }));

const wanted = { recoverable: true, joinLeave: true, minResubscribeDelay: 50 };
const sub = client.newSubscription(channel, delta ? { ...wanted, delta: 'fossil' } : wanted);
sub.on('subscribed', (ctx) => tell('subscribed', { recovered: ctx.recovered }));
sub.on('unsubscribed', (ctx) => tell('unsubscribed', { code: ctx.code }));
sub.on('publication', (ctx) => {
  tell('publication', { data: decode(ctx.data), offset: ctx.offset, user: ctx.info?.user ?? '' });
});
sub.on('join', (ctx) => tell('join', { user: ctx.info.user }));

const deeds = {
  publish: async ({ data }) => (await sub.publish(encode(data)), {}),
  presence: async () => ({
    users: Object.values((await sub.presence()).clients).map((info) => info.user),
  }),
  stats: async () => ({ clients: (await sub.presenceStats()).numClients }),
  history: async () => ({
    data: (await sub.history({ limit: 10 })).publications.map((pub) => decode(pub.data)),
  }),
  rpc: async ({ data }) => ({ data: decode((await client.rpc('echo', encode(data))).data) }),
  send: async ({ data }) => (await client.send(encode(data)), {}),
  unsubscribe: async () => (sub.unsubscribe(), {}),
  quit: async () => process.exit(0),
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const deed = JSON.parse(line);
  try {
    tell('done', { do: deed.do, ...(await deeds[deed.do](deed)) });
  } catch (error) {
    tell('failed', { do: deed.do, code: error.code });
  }
});

sub.subscribe();
client.connect();
