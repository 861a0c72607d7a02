/**
 * A process that may PUBLISH and SUBSCRIBE, and reads no key of the store, records the signed messages of an instance.
 * It sends them again after that instance crashed, and receives on its mailbox in its place.
 */
import { createClient } from 'redis';
import { expect, onTestFinished, test } from 'vitest';
import { deployment, kill } from '../cli/deployment.ts';
import { say } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { describeWithServer } from '../kit/servers/index.ts';

const LEASE_MS = 3_000;
/** Shorter than the time within which an owner counts as heard. */
const PAUSE_MS = 20;

async function connect(url: string, username?: string) {
  const client = createClient({ url, ...(username !== undefined && { username, password: 'any' }) });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.destroy());
  return client;
}

/** What it may do: the channels, and no key. */
async function attacker(url: string) {
  const rules = ['on', 'nopass', 'resetkeys', 'allchannels', '-@all', '+publish', '+psubscribe', '+hello', '+client'];
  await (await connect(url)).sendCommand(['ACL', 'SETUSER', 'replayer', ...rules]);
  const [ears, mouth] = await Promise.all([connect(url, 'replayer'), connect(url, 'replayer')]);
  const recorded: Array<{ readonly channel: string; readonly text: string }> = [];
  let recording = true;
  // From now on every channel has a receiver, so no instance seems deaf to the others.
  await ears.pSubscribe('*', (text, channel) => recording && recorded.push({ channel, text }));
  /** Sends everything again in its order, until the returned function is called. That returns how many it sent. */
  const replay = (): (() => number) => {
    recording = false;
    let sent = 0;
    const timer = setInterval(() => {
      for (const { channel, text } of recorded) void mouth.publish(channel, text);
      sent += recorded.length;
    }, PAUSE_MS);
    return () => {
      clearInterval(timer);
      return sent;
    };
  };
  return { recorded, replay };
}

describeWithServer('redis', 'replayed messages of a crashed owner', (server) => {
  test('do not keep it alive: its sessions move', async () => {
    const { recorded, replay } = await attacker(server().url);
    const { start } = deployment({ store: server().url, env: { SOJOURN_LEASE_MS: String(LEASE_MS) } });
    const [owner, other] = await Promise.all([start(), start()]);
    const near = openClient(owner.url);
    await near.initialize();
    const client = openClient(other.url, { of: near });
    expect(await say(client, 'count')).toBe('1 restored false');
    expect(await say(client, 'count')).toBe('2 restored false');
    expect(recorded.length).toBeGreaterThan(2);

    await kill(owner.cli);
    const stop = replay();
    onTestFinished(() => void stop());
    const moved = await say(client, 'count');
    expect(moved).toBe('3 restored true');
  });
});
