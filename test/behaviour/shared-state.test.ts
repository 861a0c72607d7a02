/** State of users and behind handles: 227 to 238. Two instances share each store. */
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { storeUnavailable } from '../../src/base/errors.ts';
import {
  type Handle,
  type HandleOptions,
  listHandles,
  openHandle,
  type State,
  userState,
} from '../../src/index.ts';
import { once } from '../../src/durable/once/index.ts';
import { createFakeTime, openLab } from '../../src/testing/index.ts';
import { task } from '../../src/durable/tasks/index.ts';
import { givings, perSession } from '../kit/making-servers.ts';
import { passing } from '../kit/moving-time.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate, mend } from '../kit/watched-store.ts';
import { callerAt, eraNames, openMembers, registerRun, type Run } from '../durable/state/kit.ts';

useSharedStores();

const HOUR_MS = 3_600_000;
const one = (n = 0): number => n + 1;
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
const byNumber = (a: number, b: number): number => a - b;

/** The two kinds of state: each opens it in a handler. */
async function statesOf(
  run: Run,
): Promise<Record<'user' | 'handle', () => State | Promise<State>>> {
  const id = await run(async () => (await openHandle('cart')).id);
  return { user: () => userState(), handle: async () => (await openHandle('cart', id)).state };
}

describe.each(storeKinds)('on %s', (kind) => {
  test.each(eraNames)(
    'B227 B228 in %s, updates of two instances at once take effect once each',
    async (era) => {
      const [a, b] = await openMembers(2, { kind });
      const runs = await Promise.all([a, b].map((member) => member.as('ada', era)));
      for (const open of Object.values(await statesOf(runs[0] as Run))) {
        const keys = ['n', 'other'];
        const calls = upTo(20).map((n) =>
          (runs[n % 2] as Run)(async () =>
            (await open()).update(keys[n % 4 < 2 ? 0 : 1] as string, one),
          ),
        );
        // Each number is given out once for each key, and a change of one key overwrites no other.
        expect((await Promise.all(calls)).sort(byNumber)).toEqual(upTo(10).flatMap((n) => [n, n]));
        const entries = () => (runs[0] as Run)(async () => (await (await open()).entries()).sort());
        expect(await entries()).toEqual([
          ['n', 10],
          ['other', 10],
        ]);
      }
    },
  );

  test('B229 a change whose answer was lost is made once, however many others follow it', async () => {
    const size = kind === 'memory' ? 10 : 3;
    const members = await openMembers(size, { kind });
    const runs = await Promise.all(members.map((member) => member.as('ada')));
    const [first, ...others] = runs as [Run, ...Run[]];
    const store = members[0]?.store;
    for (const [name, open] of Object.entries(await statesOf(first))) {
      const records = name === 'user' ? 'states' : 'handles';
      for (const write of name === 'user' ? (['create', 'save'] as const) : (['save'] as const)) {
        let isLost = false;
        Object.assign(store?.after ?? {}, {
          [`${records}.${write}`]: async () => {
            if (isLost) return;
            isLost = true;
            for (const run of others) await run(async () => (await open()).update('n', one));
            throw storeUnavailable('the cable is out');
          },
        });
        const before = await first(async () => (await (await open()).get<number>('n')) ?? 0);
        expect(await first(async () => (await open()).update('n', one))).toBe(before + 1);
        expect(await first(async () => (await open()).get('n'))).toBe(before + size);
        expect(isLost).toBe(true);
      }
    }
  });

  test('B235 any text is a key and a value, and what is too deep or too large is refused and changes nothing', async () => {
    const [a] = await openMembers(1, { kind });
    const run = await a.as('ada');
    const texts = [
      '__proto__',
      'constructor',
      'toString',
      '\0',
      '\ud800',
      'e\u0301',
      '尺寸 🧪',
      '\'"\\',
    ];
    let deep: unknown[] = [];
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    const refused: Array<readonly [string, unknown]> = [
      ['deep', deep],
      ['large', 'é'.repeat(131_072)],
      ['é'.repeat(131_072), 1],
      ['', 1],
      ['n', undefined],
      ['n', 1n],
    ];
    for (const open of Object.values(await statesOf(run))) {
      await run(async () => {
        for (const text of texts) await (await open()).set(text, { [text]: text });
      });
      for (const [key, value] of refused)
        await expect(run(async () => (await open()).set(key, value))).rejects.toThrow();
      const entries = await run(async () => (await open()).entries());
      const expected = texts.map((text) => [text, JSON.parse(JSON.stringify({ [text]: text }))]);
      expect(new Map(entries)).toEqual(new Map(expected as Array<[string, unknown]>));
    }
  });

  test('B236 changes beside the end of their handle are made or say that it is over, and nothing of it stays', async () => {
    const [a, b] = await openMembers(2, { kind });
    const [run, other] = [await a.as('ada'), await b.as('ada')];
    const id = await run(async () => (await openHandle('cart')).id);
    const calls = upTo(20).map((n) =>
      (n % 2 === 0 ? run : other)(async () => {
        const cart = await openHandle('cart', id);
        return n === 11 ? cart.end() : cart.state.update('n', one);
      }).catch(({ message }: Error) => message.startsWith('There is no cart') || message),
    );
    const told = await Promise.all(calls);
    expect(told.filter((one) => typeof one === 'string')).toEqual([]);
    const [view] = a.store.views;
    expect([await b.endpoint.handles.count(), (await view?.handles.list(9))?.records]).toEqual([
      0,
      [],
    ]);
    await expect(other(() => openHandle('cart', id))).rejects.toThrow('There is no cart');
  });
});

test('B229 a change is unsure where its answer was lost and the writers of the last minute are not named any more', async () => {
  const time = createFakeTime();
  const [a, b] = await openMembers(2, { timeProvider: time, maxWaitMs: 300_000 });
  const [run, other] = [await a.as('ada'), await b.as('ada')];
  await run(() => userState().set('n', 1));
  let isLost = false;
  Object.assign(a.store.after, {
    'states.save': async () => {
      if (isLost) return;
      isLost = true;
      await time.advance(61_000);
      for (let n = 0; n < 2; n++) await other(() => userState().update('n', one));
      throw storeUnavailable('the cable is out');
    },
  });
  const unsure = passing(
    time,
    run(() => userState().update('n', one)),
    100,
  );
  await expect(unsure).rejects.toThrow('It is not known whether this change');
  expect(await run(() => userState().get('n'))).toBe(4);
});

test('B230 a function that throws or returns nothing changes nothing, and one that returns a promise is refused', async () => {
  const [a] = await openMembers(1);
  const run = await a.as('ada');
  for (const open of Object.values(await statesOf(run))) {
    const update = (fn: () => unknown) => run(async () => (await open()).update('n', fn));
    await update(() => ({ deep: [1] }));
    const fails = () => {
      throw new Error('It is the turn of o');
    };
    await expect(update(fails)).rejects.toThrow('It is the turn of o');
    expect(await update(() => undefined)).toBeUndefined();
    await expect(update(async () => 7)).rejects.toThrow('returned a promise');
    await expect(update(() => () => 7)).rejects.toThrow('is not JSON');
    expect(await run(async () => (await open()).get('n'))).toEqual({ deep: [1] });
    expect(
      await run(async () => [await (await open()).delete('n'), await (await open()).delete('n')]),
    ).toEqual([true, false]);
  }
});

test('B231 a read is of the store, and nothing of a change that was answered is lost with its instance', async () => {
  const [a, b] = await openMembers(2, { maxWaitMs: 1_000 });
  const [run, other] = [await a.as('ada'), await b.as('ada')];
  for (const open of Object.values(await statesOf(run))) {
    for (let n = 1; n < 4; n++) {
      await run(async () => (await open()).set('n', n));
      expect(await other(async () => (await open()).get('n'))).toBe(n);
    }
  }
  const kept = await statesOf(run);
  await run(async () => (await kept.handle()).set('n', 9));
  await a.endpoint.close({ timeoutMs: 0 });
  expect(
    await other(async () => [await userState().get('n'), await (await kept.handle()).get('n')]),
  ).toEqual([3, 9]);
});

test('B232 while the store is away reads and changes wait for maxWaitMs, and then the model learns of it', async () => {
  const [a] = await openMembers(1, { maxWaitMs: 300 });
  const run = await a.as('ada');
  const cut = () => {
    throw storeUnavailable('secret-host: the cable is out');
  };
  for (const call of ['read', 'create', 'save', 'end', 'count'] as const)
    Object.assign(a.store.before, { [`states.${call}`]: cut, [`handles.${call}`]: cut });
  const away = 'Service Unavailable: the session store cannot be reached';
  const works: Array<() => unknown> = [
    () => userState().get('n'),
    () => userState().set('n', 1),
    () => userState().update('n', one),
    () => openHandle('cart'),
    () => openHandle('cart', `cart_${'x'.repeat(22)}`),
    () => listHandles(),
  ];
  Object.assign(a.store.before, { 'handles.list': cut });
  const answers = await Promise.allSettled(works.map((work) => run(work)));
  for (const answer of answers) {
    expect(String((answer as PromiseRejectedResult).reason)).toContain(away);
    expect(String((answer as PromiseRejectedResult).reason)).not.toContain('secret-host');
  }
  const waits = run(() => userState().update('n', one));
  mend(a.store);
  expect(await waits).toBe(1);
});

test.each(eraNames)(
  'B233 in %s, a caller without a user shares a state where the author says so, and has handles',
  async (era) => {
    const [a, b] = await openMembers(2);
    const [run, other, ada] = [
      await a.as(undefined, era),
      await b.as(undefined, era),
      await a.as('ada', era),
    ];
    await expect(run(() => userState().get('n'))).rejects.toThrow(
      'this call has none. Set up auth',
    );
    await expect(run(() => listHandles())).rejects.toThrow('this call has none. Set up auth');
    const shared = () => userState({ anonymous: 'shared' }).update('n', one);
    expect([
      await run(shared),
      await other(shared),
      await ada(shared),
      await ada(() => userState().get('n')),
    ]).toEqual([1, 2, 1, 1]);
    const cart = await run(() => openHandle('cart', undefined, { initial: { items: ['bread'] } }));
    expect(cart).toMatchObject({
      kind: 'cart',
      created: true,
      id: expect.stringMatching(/^cart_[\w-]{22}$/) as string,
    });
    expect(await other(async () => (await openHandle('cart', cart.id)).state.entries())).toEqual([
      ['items', ['bread']],
    ]);
    const stored = a.store.calls.filter(({ call }) => call === 'handles.create');
    expect([stored?.length, JSON.stringify(stored).includes(cart.id)]).toEqual([1, false]);
  },
);

test.each(eraNames)(
  'B234 in %s, a handle opens nothing for another user, another kind or another text',
  async (era) => {
    const [a] = await openMembers(1);
    const [ada, eve, anonymous] = [
      await a.as('ada', era),
      await a.as('eve', era),
      await a.as(undefined, era),
    ];
    const { id } = await ada(() =>
      openHandle('cart', undefined, { initial: { ['__proto__']: 1 } }),
    );
    expect(await ada(async () => (await openHandle('cart', id)).state.get('__proto__'))).toBe(1);
    expect(
      await ada(async () => (await openHandle('cart', id)).state.get('constructor')),
    ).toBeUndefined();
    const wrong = [
      `${id}x`,
      id.slice(0, -1),
      id.toUpperCase(),
      '',
      'cart',
      '__proto__',
      `${id}\0`,
      'x'.repeat(100_000),
    ];
    const texts: unknown[] = [...wrong, null, 7, {}, [id]];
    const attempts: Array<[Run, string, unknown]> = [
      [eve, 'cart', id],
      [anonymous, 'cart', id],
      [ada, 'game', id],
      ...texts.map((text): [Run, string, unknown] => [ada, 'cart', text]),
    ];
    for (const [run, kind, text] of attempts)
      await expect(run(() => openHandle(kind, text as string))).rejects.toThrow(
        `There is no ${kind}`,
      );
    expect([await eve(() => listHandles()), await ada(() => listHandles('game'))]).toEqual([
      [],
      [],
    ]);
    expect(await ada(() => listHandles('cart'))).toMatchObject([{ id, kind: 'cart' }]);
    // Mistakes of the model are in no log.
    expect(a.log.lines.filter(({ message }) => message.includes('threw'))).toEqual([]);
    await expect(ada(() => openHandle('No kind'))).rejects.toThrow('a kind is 1 to 16 characters');
  },
);

test('B235 a state holds limits.stateBytes, a user limits.perUser.handles, and callers without one limits.anonymousHandles', async () => {
  const limits = { stateBytes: 100, anonymousHandles: 4, perUser: { handles: 3 } };
  const [a, b] = await openMembers(2, { limits });
  const [ada, eve, nobody] = [await a.as('ada'), await b.as('eve'), await a.as()];
  for (const open of Object.values(await statesOf(ada))) {
    await ada(async () => (await open()).set('a', 'x'.repeat(80)));
    await expect(ada(async () => (await open()).set('b', 'x'.repeat(20)))).rejects.toThrow(
      '100 are allowed (limits.stateBytes)',
    );
    expect(await ada(async () => (await (await open()).entries()).length)).toBe(1);
  }
  await expect(
    ada(() => openHandle('cart', undefined, { initial: { a: 'x'.repeat(100) } })),
  ).rejects.toThrow('limits.stateBytes');
  const many = await Promise.allSettled(upTo(20).map(() => ada(() => openHandle('cart'))));
  expect(many.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  await expect(ada(() => openHandle('cart'))).rejects.toThrow('This user has 3 handles: end one');
  await eve(() => openHandle('cart'));
  // Half of what is free: all of these callers have one address.
  const without = await Promise.allSettled(upTo(20).map(() => nobody(() => openHandle('cart'))));
  expect(without.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
});

test('B235 two instances that make handles of one user at once do not pass limits.perUser.handles together', async () => {
  const [a, b] = await openMembers(2, { limits: { perUser: { handles: 2 } } });
  const [here, there] = [await a.as('ada'), await b.as('ada')];
  await here(() => openHandle('cart'));
  const creations = gate();
  for (const { store } of [a, b]) store.before['handles.create'] = creations.hook;
  const making = Promise.allSettled([here, there].map((run) => run(() => openHandle('cart'))));
  await until(() => creations.waiting === 2);
  creations.open();
  const made = (await making).filter(({ status }) => status === 'fulfilled').length;
  expect(made).toBeLessThan(2);
  expect(await here(() => listHandles())).toHaveLength(1 + made);
});

test('B236 a state ends keepMs after its last change, a handle idleTimeoutMs after its last use or with end()', async () => {
  const time = createFakeTime();
  const [a, b] = await openMembers(2, { timeProvider: time });
  const [run, other] = [await a.as('ada'), await b.as('ada')];
  const keepMs = 2 * HOUR_MS;
  const options: HandleOptions = { idleTimeoutMs: keepMs };
  const used = (await run(() => openHandle('cart', undefined, options))).id;
  const idle = (await run(() => openHandle('cart', undefined, options))).id;
  await run(() => userState({ keepMs }).set('n', 1));
  for (let hours = 0; hours < 3; hours++) {
    await time.advance(HOUR_MS + 1);
    await other(() => openHandle('cart', used));
    await other(() => userState({ keepMs }).update('n', one));
  }
  await expect(run(() => openHandle('cart', idle))).rejects.toThrow('it has ended or expired');
  expect(await run(() => userState().get('n'))).toBe(4);
  expect(await run(async () => (await openHandle('cart', used)).end())).toBe(true);
  const after = async () => {
    const handle: Handle = await openHandle('cart');
    return [
      await handle.end(),
      await handle.end(),
      await handle.state.get('n').catch((error: Error) => error.message),
    ];
  };
  expect(await run(after)).toEqual([true, false, expect.stringContaining('There is no cart')]);
  await time.advance(keepMs + 60_000);
  expect(await run(() => userState().get('n'))).toBeUndefined();
  expect(await run(() => userState().update('n', one))).toBe(1);
  const [view] = a.store.views ?? [];
  await until(async () => (await view?.handles.count()) === 0, { what: 'the sweep' });
});

test.each(givings)('B237 state of users and handles works with $name', async ({ give, sdk }) => {
  const served = await serve(
    give(registerRun),
    { sessionMode: 'hybrid' },
    { face: 'node', auth: userHeader },
  );
  for (const [n, era] of eraNames.filter((name) => sdk === 2 || name === '2025-11-25').entries()) {
    const run = await callerAt(served, era, 'ada');
    expect(await run(() => userState().update('n', one))).toBe(n + 1);
    const { id } = await run(() => openHandle('cart'));
    expect(await run(async () => (await openHandle('cart', id)).state.update('n', one))).toBe(1);
  }
});

test("B237 it works without sessions, in once(), in a task's run after a crash, and nowhere else", async () => {
  const served = await serve(
    perSession(() => filled()),
    { sessionMode: 'stateless' },
    { face: 'node', auth: userHeader },
  );
  const client = served.client({ headers: { 'x-user': 'ada' } });
  const said1 = (name: string) => client.call('tools/call', { name, arguments: {} });
  expect([(await said1('paid')).message, (await said1('paid')).message]).toMatchObject([
    { result: { content: [{ text: '1' }] } },
    { result: { content: [{ text: '1' }] } },
  ]);
  const lab = await openLab(
    perSession(() => filled()),
    { tasks: true },
  );
  onTestFinished(() => lab.close());
  const [a] = await lab.start(2);
  const ada = { authInfo: { token: 't', clientId: 'c', scopes: [], extra: { sub: 'ada' } } };
  const film = await a.callTask('film', {}, ada);
  await lab.until(() => runs > 0);
  await lab.kill(a);
  await lab.advance(60_000);
  expect((await film.result()).content).toEqual([{ type: 'text', text: '2' }]);
  expect(() => userState()).toThrow(expect.objectContaining({ code: 'OUTSIDE_HANDLER' }) as Error);
  await expect(openHandle('cart')).rejects.toMatchObject({ code: 'OUTSIDE_HANDLER' });
});

let runs = 0;

function filled(): McpServer {
  const server = new McpServer({ name: 'state', version: '1.0.0' });
  server.registerTool(
    'paid',
    {},
    once(async () => said(await userState().update('paid', one)), { key: () => 'k' }),
  );
  const film = async () => {
    const n = await userState().update('film', one);
    runs += 1;
    if (n === 1) await new Promise(() => {});
    return said(n);
  };
  server.registerTool('film', {}, task(film, { afterCrash: 'run' }));
  return server;
}
