// A mouth and an ear in one page: tones into a seat of a room, and how much later the room's
// listener has them. Both are sampled by one clock, so no timer's jitter is in the figures.
const [base, room, token, voices, tones, done] = arguments;

const GAP = 0.7; // seconds from tone to tone
const LENGTH = 0.12;
const LOUD = 0.05;
const QUIET = 0.25; // seconds after which loudness is another tone

async function connected(path, authorization, prepare) {
  const peer = new RTCPeerConnection();
  prepare(peer);
  await peer.setLocalDescription();
  const headers = { "Content-Type": "application/sdp", ...authorization };
  const answer = await fetch(base + path, {
    method: "POST",
    headers,
    body: peer.localDescription.sdp,
  });
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  return peer;
}

function onsets(listener, channel, rate) {
  let since = Infinity; // samples since it was loud
  return (samples, first) => {
    samples.forEach((sample, index) => {
      if (Math.abs(sample) < LOUD) {
        since += 1;
        return;
      }
      if (since > QUIET * rate) listener(channel, first + index);
      since = 0;
    });
  };
}

async function measure() {
  const context = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
  const rate = context.sampleRate;
  const mouth = new GainNode(context, { gain: 0 });
  const tone = new OscillatorNode(context, { frequency: 1000 });
  tone.connect(mouth);
  tone.start();
  const microphone = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  mouth.connect(microphone);

  const both = new ChannelMergerNode(context, { numberOfInputs: 2 });
  mouth.connect(both, 0, 0);
  const [sound] = microphone.stream.getAudioTracks();
  await connected(`/live/${room}/1/whip`, { Authorization: `Bearer ${token}` }, (peer) =>
    peer.addTransceiver(sound, { direction: "sendonly" }),
  );
  const ear = await connected(`/v1/rooms/live/${room}/whep`, {}, (peer) => {
    for (let slot = 0; slot < voices; slot += 1) {
      peer.addTransceiver("audio", { direction: "recvonly" });
    }
    peer.ontrack = ({ track }) => {
      const stream = new MediaStream([track]);
      const player = Object.assign(new Audio(), { srcObject: stream, muted: true });
      player.play(); // without an element Chromium decodes nothing
      context.createMediaStreamSource(stream).connect(both, 0, 1);
    };
  });

  const spoken = [];
  const heard = [];
  const note = (channel, at) => (channel ? heard : spoken).push(at / rate);
  const watch = [onsets(note, 0, rate), onsets(note, 1, rate)];
  const meter = context.createScriptProcessor(1024, 2, 1);
  let position = 0;
  meter.onaudioprocess = ({ inputBuffer }) => {
    watch.forEach((look, channel) => look(inputBuffer.getChannelData(channel), position));
    position += inputBuffer.length;
  };
  both.connect(meter);
  meter.connect(context.destination);

  const begun = context.currentTime + 1;
  for (let number = 0; number < tones; number += 1) {
    mouth.gain.setValueAtTime(0.5, begun + number * GAP);
    mouth.gain.setValueAtTime(0, begun + number * GAP + LENGTH);
  }
  await new Promise((resolve) => setTimeout(resolve, (2 + tones * GAP) * 1000));
  const delays = spoken
    .map((at) => heard.find((later) => later > at && later < at + GAP) - at)
    .filter((delay) => !Number.isNaN(delay));
  const buffers = [...(await ear.getStats()).values()]
    .filter((report) => report.type === "inbound-rtp" && report.jitterBufferEmittedCount > 0)
    .map((report) => report.jitterBufferDelay / report.jitterBufferEmittedCount);
  return { spoken: spoken.length, delays, buffer: Math.max(0, ...buffers) };
}

measure().then(done, (error) => done({ error: String(error) }));
