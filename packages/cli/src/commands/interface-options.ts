// SPDX-License-Identifier: Apache-2.0
// The values of `--network`: a network or user-mode networking, and how the frames move.
import type { CreateMachine } from '@flotilla/sdk';
import { InvalidArgumentError } from 'commander';
import { keyValues, oneOf, wholeNumber } from '../values.js';
import { throttleKeys, toThrottle } from './throttle-options.js';

type Interface = NonNullable<CreateMachine['interfaces']>[number];
type Forward = NonNullable<NonNullable<Interface['user']>['forwards']>[number];

/** In place of the name of a network. */
const USER = 'user';
/** The same; the name of a link of the host follows. */
const MACVTAP = 'macvtap=';
const KEYS = ['address', 'queues', 'backend', 'mtu', 'link', 'spoof', ...throttleKeys('rx-', 'pps'), ...throttleKeys('tx-', 'pps')];

/** `name,key=value,…`, `user,forward=tcp:8080:80,…` or `macvtap=eth1,mode=bridge,…`. */
export function toInterface(text: string, index: number): Interface {
  const [network = '', ...parts] = text.split(',');
  const isForward = (part: string) => network === USER && part.startsWith('forward=');
  const forwards = parts.filter(isForward).map((part) => toForward(part.slice('forward='.length)));
  const rest = parts.filter((part) => !isForward(part));
  const parent = network.startsWith(MACVTAP) ? network.slice(MACVTAP.length) : undefined;
  const values = rest.length === 0 ? {} : keyValues(rest.join(','), parent === undefined ? KEYS : [...KEYS, 'mode']);
  const [receiveThrottle, transmitThrottle] = [toThrottle(values, 'rx-', 'pps'), toThrottle(values, 'tx-', 'pps')];
  const { address, backend, queues, mtu, link, spoof } = values;
  return {
    name: `eth${index}`,
    ...(parent === undefined ? (network === USER ? { user: { forwards } } : { network }) : { macvtap: toMacvtap(parent, values['mode']) }),
    ...(address === undefined ? {} : { address }),
    ...(backend === undefined ? {} : { backend: oneOf('backend', backend, ['tap', 'vhost']) }),
    ...(queues === undefined ? {} : { queues: wholeNumber(queues) }),
    ...(mtu === undefined ? {} : { mtu: wholeNumber(mtu) }),
    ...(link === undefined ? {} : { link: oneOf('link', link, ['up', 'down']) }),
    ...(spoof === undefined ? {} : { allowSpoofedMac: oneOf('spoof', spoof, ['on', 'off']) === 'on' }),
    ...(receiveThrottle === undefined ? {} : { receiveThrottle }),
    ...(transmitThrottle === undefined ? {} : { transmitThrottle }),
  };
}

function toMacvtap(parent: string, mode: string | undefined): NonNullable<Interface['macvtap']> {
  if (parent === '') throw new InvalidArgumentError('Give macvtap=LINK, the name of a link of the host.');
  return { parent, ...(mode === undefined ? {} : { mode: oneOf('mode', mode, ['bridge', 'vepa', 'private']) }) };
}

/** `PROTOCOL:[ADDRESS:]PORT:PORT`, an IPv6 address in brackets. */
function toForward(text: string): Forward {
  const found = /^(tcp|udp):(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5}):(\d{1,5})$/.exec(text);
  if (found === null)
    throw new InvalidArgumentError('Give forward=tcp|udp:[ADDRESS:]PORT OF THE HOST:PORT OF THE GUEST, IPv6 in brackets.');
  const [, protocol = '', ipv6, ipv4, hostPort = '', guestPort = ''] = found;
  const hostAddress = ipv6 ?? ipv4;
  return {
    protocol: oneOf('forward', protocol, ['tcp', 'udp']),
    ...(hostAddress === undefined ? {} : { hostAddress }),
    hostPort: wholeNumber(hostPort),
    guestPort: wholeNumber(guestPort),
  };
}
