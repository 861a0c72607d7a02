/** Which addresses callbacks may have: none of the special-purpose registries of IANA. */
import { BlockList, isIP } from 'node:net';

const IPV4: ReadonlyArray<readonly [net: string, bits: number]> = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
const IPV6: ReadonlyArray<readonly [net: string, bits: number]> = [
  ['::', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
  ['5f00::', 16],
  ['fc00::', 7],
  ['fe80::', 9],
  ['ff00::', 8],
];

const blocked = new BlockList();
for (const [net, bits] of IPV4) blocked.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of IPV6) blocked.addSubnet(net, bits, 'ipv6');

/** `address`: an IP address. One of IPv4 in IPv6 (`::ffff:`) is judged by what it holds. */
export function isPublic(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  return !blocked.check(mapped, isIP(mapped) === 6 ? 'ipv6' : 'ipv4');
}
