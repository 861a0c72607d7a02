/** The order in which the instances hear of a change: a client that has heard of it may ask any of them at once. */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { EndpointBus } from '../../src/endpoint/bus.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLog } from '../kit/log.ts';

const CHANGED: ServerEvent = { kind: 'tools_list_changed' };

function open() {
  const story: string[] = [];
  const time = createFakeTime();
  let sent!: () => void;
  const bus = new EndpointBus({
    options: { bus: undefined, logger: createLog(), timeProvider: time },
    others: {
      publish: ({ kind }) => {
        story.push(`others ${kind}`);
        return new Promise((resolve) => (sent = resolve));
      },
    },
    lists: { changed: (kind) => void story.push(`pages ${kind}`) },
  });
  bus.subscribe(({ kind }) => void story.push(`listener ${kind}`));
  return { bus, story, time, sent: () => sent() };
}

const FIRST = ['pages tools_list_changed', 'others tools_list_changed'];

test('kept pages go at once, listeners hear of it when the others were told', async () => {
  const { bus, story, time, sent } = open();
  bus.publish(CHANGED);
  await time.advance(500);
  expect(story).toEqual(FIRST);
  sent();
  await time.advance(0);
  expect(story).toEqual([...FIRST, 'listener tools_list_changed']);
});

test('listeners wait no longer than a second for a store that does not answer', async () => {
  const { bus, story, time, sent } = open();
  bus.publish(CHANGED);
  await time.advance(1_000);
  expect(story).toEqual([...FIRST, 'listener tools_list_changed']);
  sent();
  await time.advance(0);
  expect(story).toHaveLength(3);
});
