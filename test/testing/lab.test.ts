/** `openLab`, as the author of a server uses it. */
import assert from 'node:assert/strict';
import { once as on } from 'node:events';
import {
  acceptedContent,
  type AuthInfo,
  inputRequired,
  McpServer,
} from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { storeUnavailable } from '../../src/base/errors.ts';
import { currentSession } from '../../src/index.ts';
import { once } from '../../src/durable/once/index.ts';
import type { Records } from '../../src/stores/store.ts';
import { task } from '../../src/durable/tasks/index.ts';
import { recordedOf } from '../../src/durable/tasks/steps.ts';
import {
  type LabInstance,
  type LabOptions,
  type LabServer,
  openLab,
} from '../../src/testing/index.ts';
import { connectV2 } from '../clients/official.ts';
import { bearer } from '../kit/issuer.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import '../kit/stuck.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

useSharedStores();

const text = (of: string) => ({ content: [{ type: 'text' as const, text: of }] });
const inputSchema = z.object({ scene: z.string() });
const SEA = { scene: 'sea' };
const ASKED = {
  message: 'Sure?',
  requestedSchema: { type: 'object' as const, properties: { ok: { type: 'boolean' as const } } },
};
/** The error of a request, and what the lab says below the error of its connection. */
const broken = (message: string, why: string) => ({
  name: 'TypeError',
  message,
  cause: { cause: { message: why } },
});
const YES = { action: 'accept', content: { ok: true } };
const ADA: AuthInfo = { token: 't', clientId: 'c', scopes: [], extra: { sub: 'ada' } };

/** What the servers call. It renders at once. It joins and it is paid when the test opens it. */
class Farm {
  rendered = 0;
  joined = 0;
  aborted = 0;
  readonly paid: string[] = [];
  readonly #opens = gate();
  readonly open = this.#opens.open;

  render(scene: string): string {
    this.rendered += 1;
    return scene;
  }

  async join(frames: string, signal: AbortSignal): Promise<string> {
    this.joined += 1;
    const left = on(signal, 'abort').then(() => {
      this.aborted += 1;
      throw signal.reason;
    });
    await Promise.race([this.#opens.hook(), left]);
    return `${frames}.mp4`;
  }

  async pay(order: string): Promise<string> {
    this.paid.push(order);
    await this.#opens.hook();
    return `paid ${order}`;
  }
}

/** `afterCrash`, `ttlMs`: of its tasks. */
function filmServer(
  farm: Farm,
  {
    afterCrash = 'run',
    by = 'first',
    ttlMs = 3_600_000,
  }: { afterCrash?: 'run' | 'fail'; by?: string; ttlMs?: number } = {},
): McpServer {
  const server = new McpServer({ name: 'films', version: '1.0.0' });
  server.registerTool(
    'render',
    { inputSchema },
    task(
      async ({ scene }, _, own) => {
        const frames = await own.step('frames', () => farm.render(scene));
        own.status('rendered');
        const film = await own.step('film', () => farm.join(frames, own.signal));
        return text(by === 'first' ? film : `${film} by ${by}`);
      },
      { afterCrash, ttlMs },
    ),
  );
  server.registerTool(
    'asks',
    { inputSchema: z.object({}) },
    task((_, { mcpReq }) => {
      if (mcpReq.inputResponses === undefined)
        return inputRequired({ inputRequests: { sure: inputRequired.elicit(ASKED) } });
      return text(
        JSON.stringify(
          acceptedContent(mcpReq.inputResponses, 'sure', z.object({ ok: z.boolean() })),
        ),
      );
    }),
  );
  server.registerTool(
    'fails',
    {},
    task(() => {
      throw new Error('no luck');
    }),
  );
  server.registerTool(
    'pay',
    { inputSchema: z.object({ order: z.string() }) },
    once(async ({ order }: { order: string }) => text(await farm.pay(order)), {
      key: ({ order }) => order,
      anonymous: 'shared',
    }),
  );
  server.registerTool('count', {}, async () => {
    const n = await currentSession()?.state.update('calls', (before = 0) => before + 1);
    return text(`call ${n ?? 'without a session'}`);
  });
  return server;
}

async function open(server: LabServer, options: LabOptions = {}) {
  const lab = await openLab(server, { tasks: true, ...options });
  onTestFinished(() => lab.close());
  return lab;
}

/** A task in its second step, at the first of two instances. */
async function rendering(
  farm: Farm,
  server: LabServer = filmServer(farm),
  options: LabOptions = {},
) {
  const lab = await open(server, options);
  const [a, b] = await lab.start(2);
  const film = await a.callTask('render', SEA);
  await lab.until(() => farm.joined === 1);
  return { lab, a, b, film };
}

const textOf = (result: { content: ReadonlyArray<{ text?: string }> }): string | undefined =>
  result.content[0]?.text;

describe.each(storeKinds)('on %s', (kind) => {
  test('a task survives the kill of its instance, and its recorded step does not run again', async () => {
    const farm = new Farm();
    const lab = await openLab(filmServer(farm), { tasks: true, store: sharedStore(kind)() });
    onTestFinished(() => lab.close());
    const [a] = await lab.start(2);
    const film = await a.callTask('render', { scene: 'sea' });
    await lab.until(() => farm.joined === 1);
    await lab.kill(a);
    farm.open();
    await lab.advance(5_000); // the lease of `a` runs out
    assert.equal((await film.result()).content[0]?.text, 'sea.mp4'); // asked at `b`
    assert.equal(farm.rendered, 1);
  });
});

describe('kill', () => {
  test('nothing that a handler does afterwards is stored', async () => {
    const farm = new Farm();
    const store = watchedStore();
    const { lab, a, film } = await rendering(farm, filmServer(farm, { afterCrash: 'fail' }), {
      store,
    });
    await lab.kill(a);
    const before = store.calls.length;
    farm.open();
    await lab.until(async () => (await film.status()).status === 'working');
    await new Promise((turn) => setImmediate(turn));
    const writes = store.calls
      .slice(before)
      .filter(({ call }) => !/\.(?:read|due|trim)$/.test(call));
    expect(writes).toEqual([]);
    const { values } = await recordedOf(store.views[1]?.tasks as Records, film.id);
    expect([...values.keys()].filter((name) => name.startsWith('s'))).toEqual(['sframes']);
    await lab.advance(5_000);
    await expect(film.result()).rejects.toMatchObject({
      data: { reason: 'owner_lost', mayHaveRun: true },
    });
  });

  test('the lease ends after leaseMs of the lab, and not before', async () => {
    const farm = new Farm();
    const { lab, a, film } = await rendering(farm, filmServer(farm), { leaseMs: 60_000 });
    await lab.kill(a);
    await lab.advance(59_000);
    await film.status();
    await lab.advance(10);
    expect(farm.joined).toBe(1);
    await lab.advance(2_000);
    await film.status();
    await lab.until(() => farm.joined === 2);
  });

  test.each(['kill', 'stop'] as const)('a start after a %s finds what was stored', async (how) => {
    const farm = new Farm();
    const lab = await open(filmServer(farm));
    const [a] = await lab.start();
    const film = await a.callTask('render', SEA);
    await lab.until(() => farm.joined === 1);
    await lab[how](a);
    farm.open();
    await lab.advance(5_000);
    await expect(film.result()).rejects.toThrow(
      'No instance serves: call lab.start(); in the lab instance 1 is',
    );
    await lab.start();
    expect(textOf(await film.result())).toBe('sea.mp4');
  });

  test('a call that runs is cut, and the next one of its key hears that it may have run', async () => {
    const farm = new Farm();
    const lab = await open(filmServer(farm));
    const [a, b] = await lab.start(2);
    const paid = a.call('pay', { order: 'o-1' });
    paid.catch(() => {});
    await lab.until(() => farm.paid.length === 1);
    await lab.kill(a);
    await expect(paid).rejects.toMatchObject(
      broken('fetch failed', 'instance 1 of the lab was killed'),
    );
    farm.open();
    await lab.advance(5_000);
    const lost = { data: { reason: 'owner_lost', mayHaveRun: true } };
    await expect(b.call('pay', { order: 'o-1' })).rejects.toMatchObject(lost);
    expect(farm.paid).toEqual(['o-1']);
  });

  test('a session of a 2025 client continues at another instance', async () => {
    const lab = await open(filmServer(new Farm()), { retryMs: 10 });
    const [a] = await lab.start(2);
    const { say, requests } = await connectV2('http://localhost/mcp', { fetch: lab.fetch });
    expect(await say('count')).toBe('call 1');
    expect((await a.endpoint.sessions.list()).sessions).toHaveLength(1);
    await lab.kill(a);
    await lab.advance(5_000);
    expect(await say('count')).toBe('call 2');
    const streams = () => requests.filter((request) => request.startsWith('GET')).length;
    await lab.until(() => streams() === 2, { what: 'the stream of the client, again' });
  });

  test('what a verifier says of a caller reaches the owner of a session as JSON, as between processes', async () => {
    const server = filmServer(new Farm());
    server.registerTool('since', {}, ({ http }) => text(typeof http?.authInfo?.extra?.['since']));
    const verify = () => ({
      ...ADA,
      expiresAt: 4_000_000_000,
      extra: { sub: 'ada', since: new Date() },
    });
    const lab = await open(server, { auth: { verify } });
    const [a, b] = await lab.start(2);
    let at = a;
    const { say } = await connectV2('http://localhost/mcp', {
      fetch: (url, init) => at.fetch(new Request(url, init)),
      ...bearer('ada'),
    });
    expect(await say('since')).toBe('object');
    at = b;
    expect(await say('since')).toBe('string');
  });

  test('no message reaches a killed instance, or comes from it', async () => {
    const lab = await open(filmServer(new Farm()));
    const instances = await lab.start(2);
    const heard: string[] = [];
    const [a, b] = instances.map(({ endpoint: { bus, notify } }, index) => {
      bus.subscribe(() => heard.push(`instance ${index + 1}`));
      return notify;
    });
    a?.toolsChanged();
    await lab.until(() => heard.length === 2);
    await lab.kill(instances[0]);
    a?.toolsChanged();
    await new Promise((turn) => setImmediate(turn));
    b?.toolsChanged();
    await lab.until(() => heard.length === 3);
    await new Promise((turn) => setImmediate(turn));
    expect(heard.toSorted()).toEqual(['instance 1', 'instance 2', 'instance 2']);
  });
});

describe('freeze, drain and stop', () => {
  test('a frozen instance loses its task, and what it does after it woke does not count', async () => {
    const farm = new Farm();
    const { lab, a, film } = await rendering(farm);
    await lab.freeze(a);
    await lab.advance(5_000);
    await film.status();
    await lab.until(() => farm.joined === 2);
    const asked = a.call('count');
    await lab.wake(a);
    expect(textOf(await asked)).toBe('call without a session');
    farm.open();
    expect(textOf(await film.result())).toBe('sea.mp4');
    expect(farm).toMatchObject({ rendered: 1, joined: 2 });
  });

  test('an instance that was frozen for less than its lease keeps its task', async () => {
    const farm = new Farm();
    const { lab, a, film } = await rendering(farm);
    await lab.freeze(a);
    await lab.advance(1_500);
    await lab.wake(a);
    await lab.advance(5_000);
    await film.status();
    farm.open();
    expect(textOf(await film.result())).toBe('sea.mp4');
    expect(farm.joined).toBe(1);
  });

  test('no time passes for a frozen instance', async () => {
    const farm = new Farm();
    const { lab, a } = await rendering(farm, filmServer(farm, { ttlMs: 2_000 }));
    await lab.freeze(a);
    await lab.advance(2_500);
    expect(farm.aborted).toBe(0);
    await lab.wake(a);
    await lab.until(() => farm.aborted === 1);
  });

  test('a drain gives a task to another build of the server', async () => {
    const farm = new Farm();
    const { lab, a, b, film } = await rendering(farm);
    await lab.kill(b);
    await lab.start(1, filmServer(farm, { by: 'second' }));
    expect(await lab.drain(a)).toEqual({ released: 0, interrupted: 0 });
    await lab.advance(5_000); // tasks that were given back are looked for
    await lab.until(() => farm.joined === 2);
    farm.open();
    expect(textOf(await film.result())).toBe('sea.mp4 by second');
    expect(farm.rendered).toBe(1);
    const refused = broken('fetch failed', 'instance 1 of the lab is stopped');
    await expect(a.fetch('http://localhost/mcp')).rejects.toMatchObject(refused);
  });

  test('an instance that drains answers, and the end of the lab waits for it', async () => {
    const farm = new Farm();
    const lab = await openLab(filmServer(farm, { afterCrash: 'fail' }), { tasks: true });
    const [a] = await lab.start();
    const film = await a.callTask('render', SEA);
    await lab.until(() => farm.joined === 1);
    const drained = lab.drain(a);
    expect(await film.status()).toMatchObject({ status: 'working' });
    await expect(lab.kill(a)).rejects.toThrow(
      'kill(): instance 1 of the lab is stopping; it must be serving',
    );
    farm.open();
    await lab.close();
    expect(await drained).toEqual({ released: 0, interrupted: 0 });
  });
});

describe('a task', () => {
  test('that waits for an answer has no result, and is answered once it asks', async () => {
    const lab = await open(filmServer(new Farm()));
    const [a] = await lab.start(2);
    const sure = await a.callTask('asks');
    await lab.until(async () => (await sure.status()).status === 'input_required');
    await expect(sure.result()).rejects.toThrow(
      "result(): the task 'asks' waits for the answer to 'sure': call answer('sure', { action: 'accept', … }) first",
    );
    await sure.answer('sure', YES);
    expect(textOf(await sure.result())).toBe('{"ok":true}');
    await expect(sure.answer('sure', YES)).rejects.toThrow(
      "answer('sure'): the task 'asks' is completed, and has not asked that",
    );
  });

  test('is cancelled', async () => {
    const farm = new Farm();
    const { lab, film } = await rendering(farm);
    await lab.advance(1);
    await film.cancel();
    expect(await film.status()).toMatchObject({ status: 'cancelled', statusMessage: 'rendered' });
    await expect(film.result()).rejects.toThrow("result(): the task 'render' was cancelled");
  });

  test('belongs to its caller', async () => {
    const lab = await open(filmServer(new Farm()));
    const [a, b] = await lab.start(2);
    const mine = await a.callTask('fails', {}, { authInfo: ADA });
    expect(await mine.result()).toMatchObject({ isError: true });
    expect(await b.endpoint.tasks.get(mine.id)).toMatchObject({
      status: 'completed',
      tool: 'fails',
    });
    const held = await a.callTask('asks', {}, { authInfo: ADA });
    const { userKey: user } = (await b.endpoint.tasks.get(held.id)) ?? {};
    expect(user).toMatch(/ada/);
    await held.answer('sure', YES);
    expect(textOf(await held.result())).toBe('{"ok":true}');
  });
});

describe('wrong use says what to do', () => {
  const server = () => filmServer(new Farm());

  test('a result that does not come', async () => {
    const farm = new Farm();
    const { lab, a, film } = await rendering(farm);
    await lab.advance(1);
    await lab.kill(a);
    await expect(film.result({ timeoutMs: 50 })).rejects.toThrow(
      "not within 50 ms: the result of the task 'render'; in the lab instance 1 is killed, instance 2 is serving; " +
        '1 ms have passed there, by advance(ms) alone',
    );
  });

  test('a look that does not end, while a call is not answered', async () => {
    const { lab, a } = await rendering(new Farm());
    await lab.freeze(a);
    const call = a.call('count');
    const vain = lab.until(() => new Promise(() => {}), { timeoutMs: 50, what: 'the end' });
    await expect(vain).rejects.toThrow(
      /^not within 50 ms: the end; in the lab instance 1 is frozen and has not answered count \(\d+\), instance 2 is serving; /,
    );
    await lab.wake(a);
    await call;
  });

  test('a tool that does not exist, and a call that becomes no task', async () => {
    const lab = await open(server());
    const [a] = await lab.start();
    await expect(a.call('rendr')).rejects.toThrow('Tool rendr not found');
    await expect(a.callTask('count')).rejects.toThrow(
      "callTask('count'): the call did not become a task but was answered (complete): wrap its handler in task()",
    );
  });

  test('an instance in another state, or of another lab', async () => {
    const lab = await open(server());
    const refused = broken(
      'fetch failed',
      'No instance serves: call lab.start(); in the lab no instance was started',
    );
    await expect(lab.fetch('http://localhost/mcp')).rejects.toMatchObject(refused);
    const [a] = await lab.start();
    await expect(lab.wake(a)).rejects.toThrow(
      'wake(): instance 1 of the lab is serving; it must be frozen',
    );
    await lab.kill(a);
    const uses = [lab.kill, lab.freeze, lab.drain, lab.stop] as Array<
      (of: LabInstance) => Promise<unknown>
    >;
    for (const use of uses)
      await expect(use.call(lab, a)).rejects.toThrow(
        'instance 1 of the lab is killed; it must be serving',
      );
    await expect(lab.kill({} as LabInstance)).rejects.toThrow('pass what lab.start() has returned');
    const killed = broken('fetch failed', 'instance 1 of the lab is killed');
    await expect(a.callTask('render', SEA)).rejects.toMatchObject(killed);
  });

  test('an option of the lab, and a server that cannot be shared', async () => {
    await expect(openLab(server(), { timeProvider: {} } as LabOptions)).rejects.toThrow(
      'lab.advance(ms) moves the clock',
    );
    const connected = server();
    await open(connected);
    await expect(openLab(connected)).rejects.toThrow('another endpoint serves it already');
    const lab = await open(server(), { leasMs: 1 } as LabOptions);
    await expect(lab.start()).rejects.toThrow('leaseMs');
  });

  test('a store that cannot be opened, and a start after that', async () => {
    const store = {
      ...watchedStore(),
      open: () => Promise.reject(storeUnavailable('it is a test')),
    };
    const lab = await open(server(), { store });
    await expect(lab.start(2)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    const why =
      'No instance serves: call lab.start(); in the lab instance 1 is killed, instance 2 is killed';
    await expect(lab.fetch('http://localhost/mcp')).rejects.toMatchObject(
      broken('fetch failed', why),
    );
  });
});
