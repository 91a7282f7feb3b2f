import t from 'tap'
import { denialReason } from '../support/net/egress-denial.ts'

/** First and last address of each block of IANA's IPv4 special-purpose registry (2026-11), and of multicast. */
const IPV4: [string, string][] = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.31.196.0', '192.31.196.255'],
  ['192.52.193.0', '192.52.193.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['192.175.48.0', '192.175.48.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '239.255.255.255'],
  ['240.0.0.0', '255.255.255.255']
]

/** The same for IPv6, and all addresses that are not global unicast. */
const IPV6: [string, string][] = [
  ['::', '::1'],
  ['::2', '::ffff:ffff'],
  ['::ffff:0:0', '::ffff:0.255.255.255'],
  ['::ffff:0:0:0', '::ffff:0:ffff:ffff'],
  ['64:ff9b::', '64:ff9b::ffff:ffff'],
  ['64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  ['100::', '100::ffff:ffff:ffff:ffff'],
  ['100:0:0:1::', '100:0:0:1:ffff:ffff:ffff:ffff'],
  ['2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2620:4f:8000::', '2620:4f:8000:ffff:ffff:ffff:ffff:ffff'],
  ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['4000::', '5fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']
]

/** Adjacent public addresses. */
const PUBLIC = [
  '1.0.0.0',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '169.253.255.255',
  '169.255.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '191.255.255.255',
  '192.0.1.0',
  '192.0.3.0',
  '192.88.98.255',
  '192.167.255.255',
  '192.169.0.0',
  '198.17.255.255',
  '198.20.0.0',
  '203.0.114.0',
  '223.255.255.255',
  '::ffff:93.184.216.34',
  '2000::',
  '2001:200::',
  '2001:db7:ffff:ffff:ffff:ffff:ffff:ffff',
  '2001:db9::',
  '2003::',
  '2606:2800:220:1::1',
  '2620:4f:7fff:ffff:ffff:ffff:ffff:ffff',
  '2620:4f:8001::',
  '3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  '3fff:1000::'
]

const literal = (scheme: string, address: string): string =>
  `${scheme}://${address.includes(':') ? `[${address}]` : address}/`

for (const [first, last] of [...IPV4, ...IPV6]) {
  t.test(`no address from ${first} to ${last} is public`, async (t) => {
    for (const address of [first, last]) {
      t.not(denialReason([], literal('https', address)), null, 'as the host of a URL')
      t.not(denialReason([], 'https://example.org', [address]), null, 'as the address of a name')
    }
  })
}

t.test('addresses next to the special ranges are allowed over https', async (t) => {
  for (const address of PUBLIC) {
    t.equal(denialReason([], literal('https', address)), null, address)
    t.equal(denialReason([], 'https://example.org', [address]), null, address)
  }
})

t.test('plain http to public addresses is allowed for named hosts only', async (t) => {
  for (const address of PUBLIC) {
    t.match(denialReason([], literal('http', address)), /plain http/, address)
    t.equal(denialReason(['example.org'], 'http://example.org', [address]), null, address)
    t.equal(denialReason([address], literal('http', address)), null, address)
  }
})
