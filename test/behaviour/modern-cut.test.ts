/** A call of 2026-07-28 whose connection breaks is cancelled, and a client that comes back for its answer is told so. */
import { expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, tool } from '../kit/lab.ts';
import { MODERN, postModern } from '../kit/modern.ts';
import { faces, serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const LOST = { error: { code: -32_000, data: { reason: 'answer_not_kept', mayHaveRun: true } } };

/** A GET as the SDKs send it. */
const comeBack = (client: RawClient, lastEventId: string): Promise<RawResponse> =>
  client.get({ version: MODERN, sessionId: null, lastEventId });

test.each(faces)(
  '%s: the handler is cancelled, a GET gets the error of its call, and the next one ends',
  async (face) => {
    const lab = createLab();
    const served = await serve(lab.factory, {}, { face });
    const one = served.client();
    const call = await postModern(one, ...tool('hold'));
    const { id = '' } = await call.next();
    const held = await lab.held(0);
    call.abort();
    await until(() => held.ctx.mcpReq.signal.aborted, { what: 'the handler to be cancelled' });
    const [error] = await (await comeBack(one, id)).untilEnd();
    expect(error?.message).toMatchObject(LOST);
    expect((await comeBack(one, error?.id ?? '')).status).toBe(204);
  },
);
