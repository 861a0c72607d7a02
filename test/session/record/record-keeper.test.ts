/**
 * What a session changes about its record at the same moment. Official clients of Python, Java and Go open their
 * standalone GET beside `notifications/initialized`: both save the record, and each must wait for its own write alone.
 */
import { describe, expect, test } from 'vitest';
import { createLab } from '../../kit/lab.ts';
import { serve, type Served } from '../../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../../kit/shared-stores.ts';

useSharedStores();

const SESSIONS = 200;
/** Sessions at once: few, so that the two requests of one session meet at the server and not in a queue before it. */
const AT_ONCE = 4;

describe.each(storeKinds)('the record of a session on %s', (kind) => {
  test('a GET and notifications/initialized of the same millisecond are both accepted, in either order', async () => {
    const served = await serve(createLab().factory, { store: sharedStore(kind)() });
    const answers: string[] = [];
    let next = 0;
    const connectAll = async (): Promise<void> => {
      for (let n = next++; n < SESSIONS; n = next++) answers.push(await connect(served, n % 2 === 0));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, connectAll));

    const counted: Record<string, number> = {};
    for (const answer of answers) counted[answer] = (counted[answer] ?? 0) + 1;
    expect(counted).toEqual({ 'GET 200, initialized 202': SESSIONS });
  }, 60_000);
});

async function connect({ client: open }: Served, getFirst: boolean): Promise<string> {
  const client = open({ timeoutMs: 20_000 });
  // Beside each other, so that each of the two requests below finds a connection that is open already.
  await Promise.all([client.initialize({ initialized: false }), client.get({ sessionId: null })]);
  const get = () => client.get();
  const initialized = () => client.notify('notifications/initialized');
  let stream;
  let note;
  if (getFirst) [stream, note] = await Promise.all([get(), initialized()]);
  else [note, stream] = await Promise.all([initialized(), get()]);
  client.close();
  return `GET ${stream.status}, initialized ${note.status}`;
}
