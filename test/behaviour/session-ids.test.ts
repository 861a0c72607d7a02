import { describe, expect, test } from 'vitest';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { perFace } from '../kit/sessions.ts';

describe.each(perFace)('over the $face face', ({ serve, inLab }) => {
  test('B54 a session id is 16 random bytes in base64url, and no two are alike', async () => {
    const { openSession } = await serve(createLab().factory);
    const ids = new Set<string | undefined>();
    for (let n = 0; n < 20; n++) {
      const one = await openSession();
      ids.add(one.sessionId);
    }
    expect(ids.size).toBe(20);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{22}$/);
    const bytes = [...ids].map((id) => Buffer.from(id ?? '', 'base64url'));
    expect(bytes.map(({ length }) => length)).toEqual(Array.from({ length: 20 }, () => 16));
    // A counter or a clock in them would show: every byte position takes several values.
    for (let at = 0; at < 16; at++) expect(new Set(bytes.map((id) => id[at])).size).toBeGreaterThan(5);
  });

  test('B69 a second client that knows the id joins the session without initialize; the run hook is not called again', async () => {
    let runs = 0;
    const {
      one: first,
      client,
      lab,
    } = await inLab({
      runSessionHandler: async (_request, _session, run) => {
        runs += 1;
        await run();
      },
    });
    const second = client({ of: first });
    const { response, message } = await second.call(...tool('who'));
    expect(response.status).toBe(200);
    expect(JSON.parse(textOf(message) ?? '')).toMatchObject({ id: first.sessionId });
    expect(lab.made.length).toBe(1);
    expect(runs).toBe(1);
  });
});
