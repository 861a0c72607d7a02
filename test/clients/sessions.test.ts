/** Sessions as the official clients have them: by negotiation, several at once, ended from either side. */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { faces, serve, type Face } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { createLab } from '../kit/lab.ts';
import { overFaces, sessionOf } from './opened.ts';
import { sessionClients, sseClients } from './official.ts';

const open = async (face: Face, options?: McpEndpointOptions) => {
  const lab = createLab();
  return { lab, ...(await serve(lab.factory, { retryMs: 5, ...options }, { face })) };
};

describe.each(overFaces(sessionClients))('the %s client on the face %s', (_name, face, connect) => {
  test('terminates its session: calls that run end, later ones are refused', async () => {
    const { lab, url, endpoint } = await open(face);
    const ada = await connect(url);
    const id = String(ada.sessionId);
    const running = ada.callTool('hold').catch((error: unknown) => error);
    const held = await lab.held();
    await ada.terminate();
    expect(await running).toMatchObject({ code: -32_000, data: { reason: 'session_ended' } });
    expect(held.ctx.mcpReq.signal.aborted).toBe(true);
    expect(held.session?.signal.reason).toBe('deleted');
    expect(endpoint.sessions.liveCount).toBe(0);
    const late = await connect(url, { sessionId: id });
    await expect(late.callTool('who')).rejects.toThrow('Session not found');
  });
});

describe.each(overFaces(sseClients))(
  'B174 the %s client on the face %s',
  (_name, face, connect) => {
    test('B173 has a session for as long as it is connected', async () => {
      const { lab, url } = await open(face, { legacySse: true });
      const ada = await connect(url);
      const call = ada.callTool('hold').catch(() => undefined);
      const { session } = await lab.held();
      expect(session?.signal.aborted).toBe(false);
      await ada.client.close();
      await call;
      await until(() => session?.signal.aborted, { what: 'the end of the session' });
      expect(session?.signal.reason).toBe('deleted');
    });
  },
);

describe.each(faces)('the face %s', (face) => {
  test('B71 keeps many clients apart', async () => {
    const { url, endpoint, lab } = await open(face, { legacySse: true });
    const connects = [...sessionClients, ...sessionClients, ...sseClients, ...sseClients].map(
      ([, connect]) => connect,
    );
    const all = await Promise.all(connects.map((connect) => connect(url)));
    await Promise.all(all.map(({ listening }) => listening));
    const counts = await Promise.all(
      all.map((one) => Promise.all(Array.from({ length: 5 }, () => one.say('count')))),
    );
    for (const count of counts) expect(count.toSorted()).toEqual(['1', '2', '3', '4', '5']);
    const ids = await Promise.all(all.map(sessionOf));
    expect(new Set(ids).size).toBe(8);
    expect(ids.slice(0, 4)).toEqual(all.slice(0, 4).map(({ sessionId }) => sessionId));
    expect([endpoint.sessions.liveCount, lab.made.length]).toEqual([8, 8]);
    await lab.made[2]?.server.sendLoggingMessage({ level: 'info', data: 'for one' });
    await until(() => all.some((one) => one.notifications('notifications/message').length > 0), {
      what: 'the one',
    });
    for (const one of all) await one.client.ping();
    expect(all.flatMap((one) => one.notifications('notifications/message'))).toHaveLength(1);
  });
});
