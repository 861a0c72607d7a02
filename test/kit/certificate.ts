/** A new certificate for 127.0.0.1 and its key, as files that go with the test. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { temporaryFolder } from './temporary.ts';

/** Files in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export function newCertificate(): Certificate {
  const folder = temporaryFolder();
  const [certificate, key] = [join(folder, 'mcp.crt'), join(folder, 'mcp.key')];
  const made = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '1',
    '-subj',
    '/CN=127.0.0.1',
  ];
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate];
  execFileSync('openssl', [...made, ...names], { stdio: 'ignore' });
  return { certificate, key };
}
