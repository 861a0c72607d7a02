/** What the exchanges of an endpoint share, for an exchange without an endpoint. */
import type { ExchangeHost } from '../../src/http/exchange.ts';
import { Notices } from '../../src/base/observe/notices.ts';
import { UnreadAnswers } from '../../src/http/unread.ts';
import { memoryRows } from '../../src/http/limits/memory-rows.ts';
import { createFakeTime } from '../../src/testing/index.ts';

/** `cut`: gets why each connection was cut. */
export function exchangeHost(
  report: ExchangeHost['report'],
  memory = memoryRows(Infinity).requests,
  cut: string[] = [],
) {
  const time = createFakeTime();
  const unread = new UnreadAnswers({
    time,
    memory,
    streamBufferBytes: Infinity,
    onCut: (why) => cut.push(why),
  });
  const host = {
    report,
    notices: new Notices(),
    memory,
    unread,
    time,
    keepAliveMs: Infinity,
    keepsSessions: true,
    addressOf: () => undefined,
    cutCrowded: () => {},
  };
  return host satisfies ExchangeHost;
}
