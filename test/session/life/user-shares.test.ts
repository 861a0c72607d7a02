/** Which idle session is evicted: the oldest of the users who have the most. */
import { expect, test } from 'vitest';
import { entryOf } from '../../../src/base/entry-list.ts';
import { UserShares } from '../../../src/session/life/user-shares.ts';
import { Random } from '../../simulation/random.ts';

const shares = () => new UserShares({ sessions: Infinity, userShare: 1 });
const sessionOf = (share: string, id: string) => entryOf({ id, share });

test('is the first of those whose user has the most, whatever comes and goes', () => {
  const random = new Random(7);
  const users = shares();
  const all: Array<ReturnType<typeof sessionOf>> = [];
  const idle: typeof all = [];
  const drop = (list: typeof all, entry: (typeof all)[number]) =>
    list.includes(entry) && list.splice(list.indexOf(entry), 1);
  for (let n = 0; n < 4_000; n++) {
    const entry = all[random.int(all.length * 1.2)] ?? sessionOf(`u${random.int(9)}`, `s${n}`);
    const step = random.next();
    users.becameActive(entry);
    drop(idle, entry);
    if (!all.includes(entry)) {
      users.charge(1, entry.item.share);
      all.push(entry);
    } else if (step < 0.3) {
      users.charge(-1, entry.item.share);
      drop(all, entry);
    } else if (step < 0.8) {
      users.becameIdle(entry);
      idle.push(entry);
    }
    const has = ({ item }: typeof entry) =>
      all.filter((other) => other.item.share === item.share).length;
    const most = Math.max(...idle.map(has));
    expect(users.pick(idle.map(({ item }) => item))).toBe(
      idle.find((one) => has(one) === most)?.item,
    );
  }
});

test('is found without a look at 10,000 others, while the user with the most is busy, too', () => {
  const users = shares();
  const idle = Array.from({ length: 10_000 }, (_, n) => sessionOf(`u${n}`, `s${n}`));
  const busy = [sessionOf('busy', 'b1'), sessionOf('busy', 'b2'), sessionOf('busy', 'b3')];
  for (const { item } of [...idle, ...busy, sessionOf('u9999', 'second')])
    users.charge(1, item.share);
  for (const entry of idle) users.becameIdle(entry);
  let looks = 0;
  const looked = function* () {
    for (const { item } of idle) yield (((looks += 1), item));
  };
  expect([users.pick(looked())?.id, looks]).toEqual(['s9999', 2]);
  users.charge(-1, 'u9999');
  expect([users.pick(looked())?.id, looks]).toEqual(['s0', 3]);
});
