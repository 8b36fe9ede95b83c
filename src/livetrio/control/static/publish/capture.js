// The picture and the sound that are published: cameras, microphones, screens.

const RATIO = 16 / 9;
const VOICE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** Devices by kind, as far as the browser tells: names only after a permission was given. */
export async function devices() {
  const all = await navigator.mediaDevices.enumerateDevices();
  const of = (kind) => all.filter((device) => device.kind === kind && device.deviceId);
  return { cameras: of("videoinput"), microphones: of("audioinput") };
}

/** Open what is wished for: {source: "camera" | "screen" | "none", camera, microphone, height};
 * microphone "none" is silence, "" the browser's choice; voice: others are heard by loudspeakers
 * beside it. Gives a MediaStream. Throws what getUserMedia throws: NotAllowedError ... */
export async function capture({ source, camera, microphone, height, voice = false }) {
  const video = { height: { ideal: height }, width: { ideal: Math.round(height * RATIO) }, frameRate: { ideal: 30 } };
  const tracks = [];
  try {
    if (source === "screen") {
      const screen = await navigator.mediaDevices.getDisplayMedia({ video, audio: true });
      tracks.push(...screen.getTracks());
    }
    const wanted = {};
    if (source === "camera") wanted.video = { ...video, ...(camera && { deviceId: { exact: camera } }) };
    // one sound only: that of the screen, if there is any, else the microphone's
    if (microphone !== "none" && !tracks.some((track) => track.kind === "audio")) {
      wanted.audio = { ...(voice && VOICE), ...(microphone && { deviceId: { exact: microphone } }) };
    }
    if (wanted.video || wanted.audio) {
      tracks.push(...(await navigator.mediaDevices.getUserMedia(wanted)).getTracks());
    }
  } catch (error) {
    release(tracks);
    throw error;
  }
  for (const track of tracks) {
    if (track.kind === "video") track.contentHint = source === "screen" ? "detail" : "motion";
  }
  return new MediaStream(tracks);
}

/** Let devices go: their lights go out. */
export function release(tracks) {
  for (const track of tracks) track.stop();
}
