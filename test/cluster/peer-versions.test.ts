import { describe, expect, test } from 'vitest';
import { PeerVersions } from '../../src/cluster/peer-versions.ts';
import { BUILD_VERSION, readsIdSuffixes } from '../../src/protocol/versions.ts';
import type { InstanceLease } from '../../src/stores/store.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';

const logger = createLog();
const lease = (id: string, version = BUILD_VERSION): InstanceLease => ({ id, state: 'serving', version, stamp: '0' });

function directory(...leases: InstanceLease[]) {
  const directoryNow = { leases, lists: 0, away: false, hold: undefined as Promise<void> | undefined };
  const list = async (): Promise<readonly InstanceLease[]> => {
    directoryNow.lists += 1;
    const found = [...directoryNow.leases];
    await directoryNow.hold;
    if (directoryNow.away) throw new Error('the store is away');
    return found;
  };
  return { directoryNow, peers: new PeerVersions({ list, self: () => 'own', inProcess: false, logger }) };
}

test('an instance uses no suffixes until the first list, and uses them once it shows no older instance', async () => {
  const { peers } = directory(lease('own'), lease('peer'));
  expect(peers.idSuffixes).toBe(false);
  await peers.read();
  expect(peers.idSuffixes).toBe(true);
});

test('an instance uses no suffixes while an older instance has a lease, draining or not', async () => {
  const { peers, directoryNow } = directory(lease('own'), lease('peer', '0.1.0'));
  await peers.read();
  expect(peers.idSuffixes).toBe(false);
  directoryNow.leases = [lease('own'), { ...lease('peer', '0.1.0'), state: 'draining' }];
  await peers.read();
  expect(peers.idSuffixes).toBe(false);
  directoryNow.leases = [lease('own')];
  await peers.read();
  expect(peers.idSuffixes).toBe(true);
});

test('a message from an unknown instance makes this instance read the leases', async () => {
  const { peers, directoryNow } = directory(lease('own'));
  await peers.read();
  directoryNow.leases = [lease('own'), lease('older', '0.1.0')];
  peers.heard('older');
  await until(() => !peers.idSuffixes);
  directoryNow.leases = [lease('own'), lease('equal')];
  peers.heard('equal');
  await until(() => peers.idSuffixes);
  expect(directoryNow.lists).toBe(3);
});

test('a list that began before an unknown instance sent its message does not count', async () => {
  const { peers, directoryNow } = directory(lease('own'));
  let release: () => void = () => {};
  directoryNow.hold = new Promise((resolve) => (release = resolve));
  const reading = peers.read();
  directoryNow.leases = [lease('own'), lease('older', '0.1.0')];
  peers.heard('older');
  release();
  await reading;
  expect([peers.idSuffixes, directoryNow.lists]).toEqual([false, 2]);
});

test('messages from a known instance read no leases', async () => {
  const { peers, directoryNow } = directory(lease('own'), lease('peer'));
  await peers.read();
  peers.heard('peer');
  expect([peers.idSuffixes, directoryNow.lists]).toEqual([true, 1]);
});

test('the last answer stays while the store is away', async () => {
  const { peers, directoryNow } = directory(lease('own'));
  directoryNow.away = true;
  await peers.read();
  expect(peers.idSuffixes).toBe(false);
  directoryNow.away = false;
  await peers.read();
  directoryNow.away = true;
  await peers.read();
  expect(peers.idSuffixes).toBe(true);
});

test('with every instance in this process suffixes are used from the start', () => {
  const list = (): never => {
    throw new Error('read');
  };
  const peers = new PeerVersions({ list, self: () => 'own', inProcess: true, logger });
  peers.heard('peer');
  expect(peers.idSuffixes).toBe(true);
});

describe('the versions that read suffixes', () => {
  test.each([
    ['0.1.0', false],
    ['0.1.9', false],
    ['', false],
    ['next', false],
    ['0.2.0', true],
    ['0.2.0-beta.1', true],
    ['0.10.0', true],
    ['1.0.0', true],
    [BUILD_VERSION, true],
  ])('%j: %j', (version, reads) => expect(readsIdSuffixes(version)).toBe(reads));
});

test('an instance is alone until a list shows another one', async () => {
  const { peers, directoryNow } = directory(lease('own'));
  expect(peers.alone).toBe(true);
  await peers.read();
  expect(peers.alone).toBe(true);
  directoryNow.leases = [lease('own'), lease('peer')];
  await peers.read();
  expect(peers.alone).toBe(false);
  directoryNow.away = true;
  await peers.read();
  expect(peers.alone).toBe(false);
});
