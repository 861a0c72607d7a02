/** What becomes of each request: in which order it is answered, and what its session still holds of it. */
import { describe, expect, test } from 'vitest';
import { requestClosed, storeAway } from '../../../src/errors.ts';
import type { AskHook } from '../../../src/session/calls/call.ts';
import type { RpcResponse } from '../../../src/protocol/jsonrpc.ts';
import { KnownPage } from '../../../src/session/calls/shared-lists.ts';
import { callsOf, request, result, text } from '../../kit/noted-calls.ts';

describe('requests are admitted', () => {
  test('with their ids, on one stream, which is logged if it is of one request', () => {
    for (const ids of [[1], [1, 2]]) {
      const { calls, admit, held, state } = callsOf();
      const post = admit(ids.map((id) => request(id)));
      expect(post.calls.map(({ id, stream }) => [id, stream === post.stream])).toEqual(ids.map((id) => [id, true]));
      expect(ids.map((id) => calls.running.get(id))).toEqual(post.calls);
      expect(held).toEqual(post.calls.map(({ work }) => work));
      expect([post.stream.logged, state.users]).toEqual([ids.length === 1, ids.length]);
    }
  });

  test('and each holds its own places', () => {
    const { calls, caller } = callsOf();
    const released: string[] = [];
    const admissions = ['a', 'b'].map((name) => ({ release: () => released.push(name) }));
    const entering = { caller: caller(), answersOnly: false, attempt: 1 };
    const post = calls.admitPost(entering, [request(1), request(2)], admissions as never);
    post.calls[1]?.work.end();
    expect(released).toEqual(['b']);
  });

  test('and those that change the server keep the effect only of a success', () => {
    for (const fails of [true, false]) {
      const { calls, run, seen } = callsOf();
      run({ ...request(1, 'logging/setLevel'), params: { level: 'debug' } });
      calls.answer(fails ? { jsonrpc: '2.0', id: 1, error: { code: 1, message: '' } } : result(1));
      expect(seen.includes('level debug')).toBe(!fails);
    }
  });

  test('and what a list of tools says of them is learnt where other processes share the store', () => {
    for (const durable of [true, false]) {
      const { calls, run, seen } = callsOf({ durable });
      run(request(1, 'tools/list'));
      calls.answer(result(1));
      expect(seen.includes('learnt')).toBe(durable);
    }
  });
});

test.each([
  { durable: true, logged: true, first: ['stored with markers'] },
  { durable: false, logged: true, first: ['opens', 'stored '] },
  { durable: false, logged: false, first: ['opens'] },
])('what is stored before requests run (durable: $durable, logged: $logged)', ({ first, ...given }) => {
  const { calls, admit, seen } = callsOf(given);
  const post = admit([request(1)]);
  const { stream } = post;
  const storePoint = stream.storePoint.bind(stream);
  stream.storePoint = (opens, extra) => (opens === true && seen.push('opens'), storePoint(opens, extra));
  expect(calls.storeFirst(post)).toBe('written');
  expect(seen).toEqual(first);
});

test.each([
  [{}, true],
  [{ logged: false }, false],
  [{ durable: false }, false],
])('requests of a logged stream may run ahead where other processes share the store (%j): %s', (given, may) => {
  const { calls, admit } = callsOf(given);
  expect(calls.ahead(admit([request(1)])) !== undefined).toBe(may);
});

describe('a page of a list', () => {
  const given = (known?: KnownPage, kept: unknown[] = []) => ({ known, keep: ({ id }: RpcResponse) => kept.push(id) });

  test('that the server answers is kept, and known to where the server is entered', () => {
    const kept: unknown[] = [];
    const page = given(undefined, kept);
    const { calls, run } = callsOf({ page });
    const [call] = run(request(1, 'prompts/list')).calls;
    expect(call?.hook).toMatchObject({ takes: 'result', page });
    calls.answer(result(1));
    expect(kept).toEqual([1]);
  });

  test.each([
    [undefined, false],
    [{ jsonrpc: '2.0', result: { tools: [] } } as const, true],
  ])('that is known answers its request without the server, and its hints (%j) are learnt', (hints, learns) => {
    const known = new KnownPage('{"prompts":[]}', hints);
    const { calls, run, seen, state } = callsOf({ logged: false });
    const [call] = run(request(1, 'prompts/list')).calls;
    if (call !== undefined) calls.answerWith(known, call);
    const answer = `sink gets ${known.answerTo(1)}`;
    expect(seen).toEqual([...(learns ? ['learnt'] : []), answer, 'sink ends', 'unmarked 1']);
    expect([call?.phase, state.users, calls.running.size]).toEqual(['over', 0, 0]);
  });

  test('waits for the code around its request', () => {
    const { calls, run, seen, state } = callsOf({ logged: false });
    const [call] = run(request(1, 'prompts/list')).calls;
    if (call === undefined) throw new Error('not admitted');
    call.around = { start: () => {}, take: ({ result: page }) => (seen.push(page), true), over: () => {} };
    calls.answerWith(new KnownPage('{"prompts":[]}', undefined), call);
    expect([seen, state.users]).toEqual([[{ prompts: [] }], 1]);
  });
});

describe('the code around a request', () => {
  test('gets the number of its attempt: a first one, a second one, and the rerun of a lost call', () => {
    const { calls, caller, log, seen } = callsOf({ around: true });
    for (const attempt of [1, 2])
      calls.admitPost({ caller: caller(), answersOnly: false, attempt }, [request(attempt)], []);
    const stream = calls.running.openStream({ answersOnly: false, requests: 1, call: request(4) }, log, 'p1x0', 1);
    calls.rerun(request(4), undefined, stream);
    expect(seen.filter((line) => String(line).startsWith('code'))).toEqual([
      'code around 1, attempt 1',
      'code around 2, attempt 2',
      'code around 4, attempt 2',
    ]);
  });

  test('runs for a question only if the question is a request of the client', () => {
    for (const isOfClient of [true, false]) {
      const { calls, seen } = callsOf({ around: true });
      const saw = isOfClient ? () => {} : undefined;
      calls.ask(request(5), undefined, { takes: 'answer', run: () => {}, saw });
      expect(seen).toEqual([...(isOfClient ? ['code around 5, attempt 1'] : []), 'dispatched 5']);
    }
  });
});

describe('an answer', () => {
  test.each([
    [1, []],
    [2_000_000, ['large now']],
  ])('of %i characters of a tool is named if it is large', (length, named) => {
    const { calls, run, seen } = callsOf({ logged: false, durable: false });
    const [call] = run(request(1)).calls;
    if (call !== undefined) call.target = 'now';
    calls.answer({ jsonrpc: '2.0', id: 1, result: { text: 'x'.repeat(length) } });
    expect(seen.filter((line) => String(line).startsWith('large'))).toEqual(named);
  });

  test('of a handler that refused its call is that error', () => {
    const { calls, run, seen } = callsOf({ logged: false, durable: false, errors: 'json' });
    run(request(1)).calls[0]?.refuseWith(storeAway('now'));
    calls.answer(result(1));
    expect(seen[0]).toBe(`sink gets ${JSON.stringify({ jsonrpc: '2.0', id: 1, error: 'STORE_AWAY' })}`);
  });

  test('is stored with the end of its stream and sent, the marker is removed, and its id is free', () => {
    const { calls, runMarked, seen, appends, state } = callsOf();
    const { call, stream, mark } = runMarked();
    calls.answer(result(1));
    const sent = [`stored ${text(1)}, the end`, `sink gets ${text(1)} as p2x0-1.I1`, 'sink ends', 'unmarked 1'];
    expect(seen).toEqual(sent);
    expect(appends.at(-1)).toMatchObject({ extra: { unmark: mark } });
    expect([call?.phase, state.users, calls.running.size]).toEqual(['over', 0, 0]);
    expect(calls.running.stream(stream.key)).toBeUndefined();
  });

  test.each([true, false])('leaves the marker if its relaying instance may send it again (%s)', (acknowledged) => {
    const { calls, runMarked, appends } = callsOf();
    const { mark } = runMarked({ acknowledged });
    calls.answer(result(1));
    expect(appends.at(-1)?.extra).toEqual(
      acknowledged ? { note: undefined, mark: undefined, unmark: mark } : undefined,
    );
  });

  test.each([
    [1, 2, 3],
    [3, 1, 2],
    [2, 3, 1],
  ])('of each request of a batch is sent as it comes (%i, %i, %i), and the last ends the stream', (...order) => {
    const { calls, run, seen } = callsOf({ durable: false });
    run(request(1), request(2), request(3));
    for (const id of order) calls.answer(result(id));
    expect(seen).toEqual([...order.map((id) => `sink gets ${text(id)}`), 'sink ends']);
  });

  test('to a request that does not run is dropped, with a warning unless the session left', () => {
    const { calls, run, seen, state } = callsOf({ durable: false, logged: false });
    run(request(1));
    for (const id of [1, 1, 9]) calls.answer(result(id));
    state.left = true;
    calls.answer(result(9));
    expect(seen.slice(2)).toEqual(['warns', 'warns', 'debugs']);
  });

  test('waits for the code around its request, which sends it or another', () => {
    const { calls, run, seen } = callsOf({ durable: false, logged: false });
    const {
      calls: [call],
    } = run(request(1));
    if (call === undefined) throw new Error('not admitted');
    call.around = { start: () => {}, take: () => (seen.push('taken'), true), over: () => {} };
    calls.answer(result(1));
    expect([seen, call.phase]).toEqual([['taken'], 'running']);
    calls.finish(call, { jsonrpc: '2.0', id: 1, result: { other: true } });
    expect(seen.slice(1)).toEqual(['sink gets {"jsonrpc":"2.0","id":1,"result":{"other":true}}', 'sink ends']);
  });

  test('that is sent while its handler runs cancels the handler, after it', () => {
    const { calls, run, seen } = callsOf({ durable: false, logged: false });
    const {
      calls: [call],
    } = run(request(1));
    if (call !== undefined) calls.finish(call, result(1), true);
    expect(seen).toEqual([`sink gets ${text(1)}`, 'sink ends', 'cancelled 1']);
  });

  test('of a client that left goes to its GET stream as well, if it does not resume calls', () => {
    for (const [quirk, reads, logged] of [
      [true, false, true],
      [true, true, true],
      [false, false, true],
      [true, false, false],
    ] as const) {
      const { calls, run, seen } = callsOf({ quirk, getSink: true, logged });
      const { stream } = run(request(1));
      if (!reads) stream.endSink();
      calls.answer(result(1));
      expect(seen.includes(`GET gets ${text(1)}`)).toBe(quirk && !reads && logged);
    }
  });

  test('of a server that threw is an error, unless it answered before', () => {
    for (const answers of [false, true]) {
      const { calls, admit, seen, state, sinkOf } = callsOf({ durable: false, logged: false });
      const {
        calls: [call],
        stream,
      } = admit([request(1)]);
      stream.begin(sinkOf());
      state.throws = storeAway('now');
      if (answers) calls.answer(result(1));
      if (call !== undefined) calls.dispatch(request(1), call);
      expect(seen.filter((line) => String(line).startsWith('sink gets'))).toHaveLength(1);
      expect(seen.some((line) => String(line).includes('"error"'))).toBe(!answers);
    }
  });
});

test('a question of this library gets its answer in the hook, and no stream does', () => {
  const { calls, seen, state } = callsOf();
  const hook: AskHook = { takes: 'answer', saw: () => seen.push('saw'), run: ({ id }) => seen.push(`answer ${id}`) };
  calls.ask(request(5), undefined, hook);
  calls.cancel({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 5 } });
  expect(state.users).toBe(1);
  calls.answer(result(5));
  expect([seen, state.users]).toEqual([['dispatched 5', 'saw', 'answer 5'], 0]);
});

describe('a client cancels', () => {
  const cancel = (requestId: unknown) => ({
    jsonrpc: '2.0' as const,
    method: 'notifications/cancelled',
    params: { requestId },
  });

  test('a request: its stream ends without an answer, its id is free, and a late answer is dropped', () => {
    const { calls, run, seen, state } = callsOf();
    run(request(1));
    calls.cancel(cancel(1));
    calls.answer(result(1));
    expect(seen).toEqual(['stored the end', 'sink ends', 'unmarked 1', 'warns']);
    expect([state.users, calls.running.size]).toEqual([0, 0]);
  });

  test('one of a batch: the answers to the others end the stream', () => {
    const { calls, run, seen } = callsOf({ durable: false });
    run(request(1), request(2));
    calls.cancel(cancel(2));
    expect(seen).toEqual([]);
    calls.answer(result(1));
    expect(seen).toEqual([`sink gets ${text(1)}`, 'sink ends']);
  });

  test('a request with a marker: the end of its stream removes the marker', () => {
    const { calls, runMarked, appends } = callsOf();
    const { mark } = runMarked();
    calls.cancel(cancel(1));
    expect(appends.at(-1)).toMatchObject({ complete: true, extra: { unmark: mark } });
  });

  test('what does not run, twice, or nothing: nothing ends', () => {
    const { calls, run, seen, state } = callsOf();
    run(request(1));
    for (const id of [9, '1', undefined, {}]) calls.cancel(cancel(id));
    expect([seen, state.users]).toEqual([[], 1]);
  });
});

describe('requests are taken back', () => {
  test('that never ran: they get no answer, and can come again under their ids', () => {
    const { calls, admit, seen, state } = callsOf();
    const post = admit([request(1)]);
    calls.withdraw(post);
    expect([seen, state.users, calls.running.get(1)]).toEqual([['unmarked 1'], 0, undefined]);
    expect(calls.running.stream(post.stream.key)).toBeUndefined();
    admit([request(1)]);
    expect(state.users).toBe(1);
  });

  test('that run already: those without an answer are cancelled, and what they send is dropped', () => {
    const { calls, run, seen, state } = callsOf({ durable: false });
    const post = run(request(1), request(2));
    calls.answer(result(1));
    calls.withdrawRunning(post);
    calls.answer(result(2));
    expect(seen).toEqual([`sink gets ${text(1)}`, 'cancelled 2', 'warns']);
    expect(post.calls.map(({ phase }) => phase)).toEqual(['withdrawn', 'withdrawn']);
    expect([state.users, post.stream.isComplete]).toEqual([0, false]);
  });

  test('whose client disconnected: their stream is completed, so that no owner runs them', () => {
    const { calls, admit, seen, state } = callsOf();
    const post = admit([request(1)]);
    calls.completeUnrun(post);
    expect([seen, state.users]).toEqual([['stored the end', 'unmarked 1'], 0]);
    expect([post.stream.isComplete, calls.running.size]).toEqual([true, 0]);
  });

  test('whose client disconnected after it cancelled one of them', () => {
    const { calls, admit, state } = callsOf();
    const post = admit([request(1), request(2)]);
    calls.cancel({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    calls.completeUnrun(post);
    expect([state.users, calls.running.size]).toEqual([0, 0]);
  });
});

describe('the time of a request is over', () => {
  const late = requestClosed(true);

  test('it gets the error, and its handler is cancelled', async () => {
    const { run, seen, expire, state } = callsOf({ durable: false, logged: false });
    run(request(1));
    await expire(late);
    expect([seen, state.users]).toEqual([[`sink gets 1 ${late.code}`, 'sink ends', 'cancelled 1'], 0]);
  });

  test('and the code around it gets the error', async () => {
    const { run, seen, expire } = callsOf({ durable: false, logged: false, around: true });
    const [call] = run(request(1)).calls;
    await expire(late);
    expect([seen[0], call?.refusal]).toEqual([`its code gets ${late.code}`, late]);
  });

  test('only for requests of a client', () => {
    const { calls, run, timed } = callsOf();
    calls.ask(request(5), undefined, { takes: 'answer', run: () => {} });
    run(request(1));
    expect(timed).toEqual([1]);
  });

  test('while the lease is lapsed: the error waits, and an answer that comes first is the only one', async () => {
    for (const answers of [false, true]) {
      const { calls, run, seen, state, expire, leaseReturns } = callsOf({ durable: false, logged: false });
      run(request(1));
      state.leaseValid = false;
      await expire(late);
      expect(seen).toEqual([]);
      if (answers) calls.answer(result(1));
      await leaseReturns();
      const error = [`sink gets 1 ${late.code}`, 'sink ends', 'cancelled 1'];
      expect(seen).toEqual(answers ? [`sink gets ${text(1)}`, 'sink ends'] : error);
    }
  });
});

describe('a response begins', () => {
  test.each([
    ['with list changes', {}, false, true],
    ['without, if the client has a GET stream', { getSink: true }, false, false],
    ['without, as a JSON answer', {}, true, false],
  ] as const)('%s', (_, given, answersOnly, has) => {
    const { calls, admit, seen, sinkOf } = callsOf({ ...given, logged: false });
    const { stream } = admit([request(1)], undefined, answersOnly);
    calls.begin(stream, sinkOf());
    expect(seen.includes('sink gets list changes')).toBe(has);
  });
});

test.each([true, false])(
  'a response that begins ahead has the list changes unless there is a GET stream (%s)',
  (getSink) => {
    const { calls, admit, seen, sinkOf } = callsOf({ getSink });
    const post = admit([request(1)]);
    calls.beginAhead(post, sinkOf(), {}, () => {});
    post.stream.endTurn();
    expect(seen.some((line) => String(line).includes('list changes'))).toBe(!getSink);
  },
);

describe('a run is remembered', () => {
  /** A relaying instance that acknowledges when the test says so. */
  const origin = () => {
    const acknowledge: Array<() => void> = [];
    return { acknowledged: false, onAcknowledged: (fn: () => void) => acknowledge.push(fn), acknowledge };
  };
  const ahead = (parts: ReturnType<typeof callsOf>, relayed?: ReturnType<typeof origin>) => {
    const post = parts.admit([request(1)], relayed);
    parts.calls.beginAhead(post, parts.sinkOf(), {}, () => {});
    return post;
  };

  test('of a relayed request that is dispatched at once, until its instance has the answer', () => {
    const parts = callsOf();
    const relayed = origin();
    const { stream } = ahead(parts, relayed);
    expect(parts.calls.earlierRun(request(1))).toMatchObject({ stream: stream.key, reran: false });
    expect(parts.calls.earlierRun(request(1, 'tools/list'))).toBeUndefined();
    relayed.acknowledge[0]?.();
    expect([parts.calls.earlierRun(request(1)), parts.calls.remembersRuns]).toEqual([undefined, false]);
  });

  test('not of the client of this instance', () => {
    const parts = callsOf();
    ahead(parts);
    expect(parts.calls.remembersRuns).toBe(false);
  });

  test('until the client uses the id again; an acknowledgement of the first then forgets nothing', () => {
    const parts = callsOf();
    const [first, second] = [origin(), origin()];
    ahead(parts, first);
    parts.calls.answer(result(1));
    parts.admit([request(1)]);
    expect(parts.calls.remembersRuns).toBe(false);
    parts.calls.answer(result(1));
    const { stream } = ahead(parts, second);
    first.acknowledge[0]?.();
    expect(parts.calls.earlierRun(request(1))).toMatchObject({ stream: stream.key });
  });

  test('not after it was taken back', () => {
    const parts = callsOf();
    const post = ahead(parts, origin());
    parts.calls.withdrawRunning(post);
    expect(parts.calls.remembersRuns).toBe(false);
  });

  test('although an earlier run under its id is taken back', () => {
    const parts = callsOf();
    const first = ahead(parts, origin());
    parts.calls.answer(result(1));
    const second = ahead(parts, origin());
    parts.calls.withdrawRunning(first);
    expect(parts.calls.earlierRun(request(1))).toMatchObject({ stream: second.stream.key });
  });

  test('of the call of a lost owner, which runs again on its stream', () => {
    const { calls, log, seen } = callsOf();
    const posted = { answersOnly: false, requests: 1, call: request(4) };
    const stream = calls.running.openStream(posted, log, 'p1x0', 1);
    calls.rerun(request(4), undefined, stream);
    expect([seen, calls.earlierRun(request(4))]).toMatchObject([['dispatched 4'], { stream: 'p1x0', reran: true }]);
    calls.answer(result(4));
    expect(calls.earlierRun(request(4))).toBeDefined();
  });
});
