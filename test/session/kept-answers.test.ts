/** An answer that its client has not read is kept, also where it is larger than `eventRetention.bytes`. */
import { describe, expect, test } from 'vitest';
import { serveMember } from '../kit/fleet.ts';
import { createLab, textOf, toolCall } from '../kit/lab.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

useSharedStores();

const BYTES = 1_048_576;

describe.each(storeKinds)('on %s', (kind) => {
  test('an answer larger than eventRetention.bytes reaches a client that comes back for it', async () => {
    const lab = createLab();
    const store = sharedStore(kind);
    const options = { store: store(), eventRetention: { bytes: BYTES } };
    const { client: connect } = await serveMember(options, undefined, lab);
    const client = connect();
    await client.initialize();
    const call = await client.post(toolCall('big', 'hold'));
    const { id } = await call.next();
    const held = await lab.held();
    call.abort();
    held.answer('x'.repeat(4 * BYTES));
    // Events of other calls that come after it.
    for (let n = 0; n < 10; n++) await client.call('ping');
    await until(() => lab.holds.length === 1);
    const resumed = await client.get({ lastEventId: id });
    await resumed.untilEnd();
    const texts = resumed.events.flatMap(({ message }) => (message === undefined ? [] : [textOf(message)?.length]));
    expect(texts).toEqual([4 * BYTES]);
  });
});
