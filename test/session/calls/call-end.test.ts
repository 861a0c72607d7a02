/** What a call holds is released once: when it is over and no handler of it runs. */
import { expect, test } from 'vitest';
import { Call } from '../../../src/session/calls/call.ts';

const REQUEST = { jsonrpc: '2.0', id: 1, method: 'tools/call' } as const;

type Step = 'begin' | 'settle' | 'end' | 'abandon';

async function after(...steps: readonly Step[]) {
  const call = new Call(undefined, undefined, REQUEST);
  const running: Array<() => void> = [];
  let released = 0;
  call.holds({ release: () => (released += 1) });
  const ways: Record<Step, () => unknown> = {
    begin: () => call.handledBy({}, () => new Promise<void>((resolve) => running.push(resolve))),
    settle: () => running.pop()?.(),
    end: () => call.endAs('answered'),
    abandon: () => call.abandon(),
  };
  for (const step of steps) {
    ways[step]();
    await new Promise(setImmediate);
  }
  return { ended: call.isOver, done: call.isDone, released };
}

test.each<[Step[], Awaited<ReturnType<typeof after>>]>([
  [[], { ended: false, done: false, released: 0 }],
  [['begin'], { ended: false, done: false, released: 0 }],
  [['begin', 'settle'], { ended: false, done: false, released: 0 }],
  [['begin', 'settle', 'begin'], { ended: false, done: false, released: 0 }],
  [['end'], { ended: true, done: true, released: 1 }],
  [['end', 'end'], { ended: true, done: true, released: 1 }],
  [['begin', 'end'], { ended: true, done: false, released: 0 }],
  [['begin', 'end', 'settle'], { ended: true, done: true, released: 1 }],
  [['begin', 'settle', 'end'], { ended: true, done: true, released: 1 }],
  [['begin', 'begin', 'end', 'settle'], { ended: true, done: false, released: 0 }],
  [['begin', 'begin', 'end', 'settle', 'settle'], { ended: true, done: true, released: 1 }],
  [['abandon'], { ended: true, done: true, released: 1 }],
  [['begin', 'abandon'], { ended: true, done: true, released: 1 }],
  [
    ['begin', 'begin', 'end', 'abandon', 'settle', 'settle'],
    { ended: true, done: true, released: 1 },
  ],
  [['begin', 'end', 'settle', 'abandon'], { ended: true, done: true, released: 1 }],
])('%j', async (steps, expected) => {
  await expect(after(...steps)).resolves.toEqual(expected);
});

test('a handler that begins after its call is over never begins', async () => {
  await expect(after('end', 'begin')).rejects.toThrow('ended before its handler began');
});

test('what comes to be held by a call that is over is released at once', () => {
  const call = new Call(undefined, undefined, REQUEST);
  call.endAs('answered');
  let released = 0;
  call.holds({ release: () => (released += 1) });
  expect(released).toBe(1);
});

test.each([
  [['answered', 'cancelled'], 'answered'],
  [['cancelled', 'timedOut'], 'cancelled'],
  [['left', 'handedOver'], 'handedOver'],
  [['answered', 'withdrawn'], 'withdrawn'],
  [['left', 'handedOver', 'withdrawn'], 'withdrawn'],
  [['withdrawn', 'answered'], 'withdrawn'],
] as const)('%j: its end is %s', (ends, end) => {
  const call = new Call(undefined, undefined, REQUEST);
  for (const how of ends) call.endAs(how);
  expect(call.end).toBe(end);
});
