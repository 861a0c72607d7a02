/** The load balancers end TLS as the deployment page says, with a certificate of this test. */
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { newCertificate } from '../kit/certificate.ts';
import { startFleet, type Fleet } from './instances.ts';
import { describeBehind, ROUND_ROBIN, startProxy } from './proxies.ts';

/** What answers a request without TLS: 400, or only a closed connection. Traefik has no route for it. */
const WITHOUT_TLS = { nginx: 400, haproxy: 'closed', envoy: 'closed', traefik: 404 };

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet(3);
});
afterAll(() => fleet?.close());

interface Answer {
  readonly status: number | undefined;
  readonly sessionId: string | undefined;
  readonly text: string;
}

interface Client {
  readonly ca: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function post(url: string, { ca, headers: more = {} }: Client, message: object): Promise<Answer> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...more,
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, { ca, method: 'POST', headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () =>
        resolve({
          status: response.statusCode,
          sessionId: response.headers['mcp-session-id'] as string | undefined,
          text,
        }),
      );
    });
    sent.on('error', reject);
    sent.end(JSON.stringify(message));
  });
}

/** The version of TLS that the proxy agrees to. */
function agreed(port: number, ca: string, version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'): Promise<string> {
  return new Promise((resolve) => {
    const options = { port, host: '127.0.0.1', ca, minVersion: version, maxVersion: version };
    const socket = connect({ ...options, ciphers: 'DEFAULT@SECLEVEL=0' }, () => {
      resolve(socket.getProtocol() ?? 'none');
      socket.destroy();
    });
    socket.on('error', () => resolve('refused'));
  });
}

for (const [kind, roundRobin] of ROUND_ROBIN) {
  describeBehind(kind, `TLS through ${kind}`, () => {
    const files = kind === 'nginx' ? [...roundRobin, 'nginx/tls.conf'] : roundRobin;
    test('a session is served over TLS 1.2 and later, and not without TLS', { timeout: 60_000 }, async () => {
      const certificate = newCertificate();
      const proxy = await startProxy(kind, files, fleet.ports, { certificate });
      onTestFinished(() => proxy.close());
      const ca = readFileSync(certificate.certificate, 'utf8');
      const clientInfo = { name: 'tls', version: '1' };
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
      const opened = await post(proxy.url, { ca }, { jsonrpc: '2.0', id: 0, method: 'initialize', params });
      expect([opened.status, opened.text]).toEqual([200, expect.stringContaining('serverInfo')]);
      const headers = { 'mcp-session-id': opened.sessionId ?? '', 'mcp-protocol-version': '2025-11-25' };
      await post(proxy.url, { ca, headers }, { jsonrpc: '2.0', method: 'notifications/initialized' });
      for (const count of [1, 2, 3]) {
        const call = { jsonrpc: '2.0', id: count, method: 'tools/call', params: { name: 'count', arguments: {} } };
        expect((await post(proxy.url, { ca, headers }, call)).text).toContain(`"text":"${count}"`);
      }
      expect(await agreed(proxy.port, ca, 'TLSv1.1')).toBe('refused');
      expect(await agreed(proxy.port, ca, 'TLSv1.2')).toBe('TLSv1.2');
      expect(await agreed(proxy.port, ca, 'TLSv1.3')).toBe('TLSv1.3');
      const plain = await fetch(proxy.url.replace('https', 'http')).then(
        ({ status }) => status,
        () => 'closed',
      );
      expect(plain).toBe(WITHOUT_TLS[kind]);
    });
  });
}
