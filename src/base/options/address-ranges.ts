/** Addresses, and ranges of them, as options name them. */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import { optionInvalid } from '../errors.ts';
import { checkText } from './checks.ts';

export const LOOPBACK_RANGES: readonly string[] = Object.freeze(['127.0.0.0/8', '::1/128']);

const PRIVATE = 'private';
/** This machine, private and shared networks (RFC 1918, RFC 6598), link-local and unique local ones. */
const PRIVATE_RANGES: readonly string[] = [
  ...LOOPBACK_RANGES,
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  'fe80::/10',
  'fc00::/7',
];

const RANGE = 'an address, or a range such as 10.0.0.0/8 or fd00::/8';

export function checkRange(option: string, value: unknown): string {
  const text = checkText(option, value, /./s, RANGE);
  return rangeIn(text) ?? refuse(option, text, RANGE);
}

/** A range, or the word for the private ones. */
export function checkProxy(option: string, value: unknown): string {
  const takes = `${RANGE}, or '${PRIVATE}'`;
  const text = checkText(option, value, /./s, takes);
  return text === PRIVATE ? text : (rangeIn(text) ?? refuse(option, text, takes));
}

function refuse(option: string, text: string, takes: string): never {
  throw optionInvalid('range', option, text, takes);
}

function rangeIn(text: string): string | undefined {
  const [address = '', bits, more] = text.split('/');
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const fits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most);
  if (family === 0 || !fits || more !== undefined) return undefined;
  return bits === undefined ? `${address}/${most}` : text;
}

/** `ranges`: as `checkRange` and `checkProxy` return them. */
export function addressesIn(ranges: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const range of ranges.flatMap((one) => (one === PRIVATE ? PRIVATE_RANGES : [one]))) {
    const [address = '', bits] = range.split('/');
    list.addSubnet(address, Number(bits), family(address));
  }
  return (address) => list.check(address, family(address));
}

const family = (address: string): 'ipv4' | 'ipv6' => (isIPv6(address) ? 'ipv6' : 'ipv4');

/** Characters of the longest address: IPv6 whose end is written as IPv4. */
const LONGEST = 45;
const MAPPED = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/;

/** One spelling for each address, and the IPv4 address where IPv6 wraps one. `undefined`: the text is no address. */
export function addressIn(text: string): string | undefined {
  if (text.length > LONGEST) return undefined;
  if (isIPv4(text)) return text;
  // A zone may be any text.
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const address = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const wrapped = MAPPED.exec(address);
  if (wrapped === null) return address;
  const [high, low] = [wrapped[1], wrapped[2]].map((part) => Number.parseInt(part ?? '', 16));
  return [high, low].flatMap((part = 0) => [part >> 8, part & 255]).join('.');
}
