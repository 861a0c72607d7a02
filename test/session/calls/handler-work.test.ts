/** What a request holds is given back once: when it has ended and no handler of it runs. */
import { expect, test } from 'vitest';
import { HandlerWork } from '../../../src/session/calls/handler-work.ts';

type Step = 'begin' | 'settle' | 'end' | 'abandon';

function after(...steps: readonly Step[]) {
  const work = new HandlerWork();
  let released = 0;
  work.holds({ release: () => (released += 1) });
  for (const step of steps) work[step]();
  return { ended: work.ended, done: work.done, released };
}

test.each<[Step[], ReturnType<typeof after>]>([
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
  [['begin', 'begin', 'end', 'abandon', 'settle', 'settle'], { ended: true, done: true, released: 1 }],
  [['begin', 'end', 'settle', 'abandon'], { ended: true, done: true, released: 1 }],
])('%j', (steps, expected) => {
  expect(after(...steps)).toEqual(expected);
});

test('a handler that begins after its request ended never begins', () => {
  expect(() => after('end', 'begin')).toThrow('ended before its handler began');
});

test('what comes to hold an ended request is given back at once', () => {
  const work = new HandlerWork();
  work.end();
  let released = 0;
  work.holds({ release: () => (released += 1) });
  expect(released).toBe(1);
});
