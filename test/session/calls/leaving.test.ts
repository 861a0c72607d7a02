/** What becomes of the running requests of a session that leaves, for each reason. */
import { describe, expect, test } from 'vitest';
import type { RpcResponse } from '../../../src/protocol/jsonrpc.ts';
import type { LeaveReason } from '../../../src/types.ts';
import { callsOf, type CallsGiven, request, result } from '../../kit/noted-calls.ts';

describe('the session leaves', () => {
  const error = (code: string, stored: boolean) => [
    ...(stored ? [`stored 1 ${code}, the end`] : []),
    stored ? `sink gets 1 ${code} as p2x0-1.I1` : `sink gets 1 ${code}`,
    'sink ends',
  ];
  const moves = ['sink moves'];
  const atPoint = ['stored ', 'sink at p2x0-1.I1, retry 100', 'sink ends'];

  test.each<[LeaveReason, string, CallsGiven & { marked?: boolean }, string[]]>([
    ['closed', 'an error, which the log keeps', {}, error('CLOSED', true)],
    ['closed', 'an error, without a log', { logged: false }, error('CLOSED', false)],
    ['deleted', 'an error, and nothing is stored any more', {}, error('SESSION_ENDED', false)],
    ['endpoint_closed', 'an error, and nothing is stored any more', {}, error('CLOSED', false)],
    ['fenced', 'the next owner ends it', {}, moves],
    ['fenced', 'the next owner ends it', { marked: true }, moves],
    ['fenced', 'an error to a client that does not come back', { resumes: false }, error('OWNER_LOST', false)],
    ['fenced', 'the next owner ends it, at another instance', { resumes: false, isRelayed: true }, moves],
    ['fenced', 'an error on a store of one process', { durable: false }, error('OWNER_LOST', false)],
    ['released', 'the next owner runs it', {}, atPoint],
    ['released', 'the next owner runs it', { isRelayed: true }, [...atPoint.slice(0, 2), ...moves]],
    ['released', 'an error, because it must not run twice', { marked: true }, error('DRAINING', true)],
    ['released', 'an error to a client that does not come back', { resumes: false }, error('DRAINING', true)],
    ['released', 'an error on a store of one process', { durable: false }, error('DRAINING', true)],
  ])('as %s while a request runs: %s, %j', (reason, _, { marked = false, ...given }, expected) => {
    const { calls, run, seen, state } = callsOf(given);
    const {
      calls: [call],
      stream,
    } = run(request(1));
    if (call !== undefined && marked) call.marker = { mark: { name: '1', stream: stream.key }, origin: undefined };
    state.left = true;
    calls.leave(reason, true);
    expect(seen).toEqual(expected);
    expect([call?.phase, calls.running.size]).toEqual(['over', 0]);
    // Its handler settles later.
    calls.answer(result(1));
    expect(seen.slice(expected.length)).toEqual(['debugs']);
  });

  test('after a fence that the first event of a running request met: the next owner runs it, nothing is sent', () => {
    const { calls, admit, seen, sinkOf } = callsOf({ late: true });
    const post = admit([request(1)]);
    calls.beginAhead(post, sinkOf(), {}, () => {});
    seen.length = 0;
    calls.leave('fenced', true);
    expect([seen, post.calls[0]?.phase]).toEqual([[], 'handedOver']);
  });

  test('and the error of a marked request removes its marker with the end of its stream', () => {
    const { calls, runMarked, appends } = callsOf();
    const { mark } = runMarked();
    calls.leave('closed', true);
    expect(appends.at(-1)).toMatchObject({ complete: true, extra: { unmark: mark } });
  });

  test('and every request of a batch gets the error', () => {
    const { calls, run, seen } = callsOf();
    run(request(1), request(2));
    calls.leave('closed', true);
    expect(seen).toEqual(['sink gets 1 CLOSED', 'sink gets 2 CLOSED', 'sink ends']);
  });

  test('and a relayed sink of a released session without others that serve waits as the option says', () => {
    const { calls, run, seen } = callsOf();
    run(request(1));
    calls.leave('released', false);
    expect(seen).toEqual(['stored ', 'sink at p2x0-1.I1, retry 1000', 'sink ends']);
  });

  test.each<LeaveReason>(['fenced', 'released', 'closed'])(
    'as %s: a question of this library gets an error',
    (reason) => {
      const { calls, seen } = callsOf();
      const run = (answer: RpcResponse): void => void seen.push(Object.keys(answer));
      calls.ask(request(5), undefined, { takes: 'answer', run });
      calls.leave(reason, true);
      expect(seen).toEqual(['dispatched 5', ['jsonrpc', 'id', 'error']]);
    },
  );
});
