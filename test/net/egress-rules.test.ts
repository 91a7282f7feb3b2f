import t from 'tap'
import { denialReason } from '../support/net/egress-denial.ts'
import { parseAllowHosts } from '../../src/net/allow-hosts.ts'
import { createEgress } from '../../src/net/egress.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

/** @param addresses addresses of each host name in `urls`; a literal address stands for itself */
const allowed = (allowHosts: readonly string[], urls: readonly string[], addresses: readonly string[] = []): string[] =>
  urls.filter((url) => {
    const isName = /[g-z]/i.test(new URL(url).hostname)
    return denialReason(allowHosts, url, isName ? addresses : []) === null
  })

const overHttps = (urls: readonly string[]): string[] => urls.map((url) => url.replace('http:', 'https:'))

const EVERYTHING = ['0.0.0.0/0', '::/0']

const PLAIN = (origin: string): string => `${origin}: plain http, and not in allowHosts`

t.test('without an entry only https to the public internet is allowed', async (t) => {
  const open = [
    'https://example.org',
    'https://example.org:8443/x',
    'https://93.184.216.34',
    'https://[2606:2800:220:1::1]/'
  ]
  t.same(allowed([], [...open, ...open.map((url) => url.replace('https:', 'http:'))], ['93.184.216.34']), open)
  t.same(allowed([], ['https://localhost', 'https://nas.lan', 'http://localhost'], ['10.0.0.1']), [])
})

t.test('each kind of entry allows what it names', async (t) => {
  const cases: [string, string[]][] = [
    ['10.0.0.0/24', ['http://10.0.0.0', 'https://10.0.0.255:8443/path?query', 'http://[::ffff:10.0.0.7]/']],
    ['10.0.0.7/24', ['http://10.0.0.200']],
    ['fd00::/8', ['http://[fd12:3456::1]:9000/']],
    ['10.1.2.3', ['http://10.1.2.3', 'https://10.1.2.3', 'http://10.1.2.3:9000']],
    ['10.1.2.3:9000', ['http://10.1.2.3:9000', 'https://10.1.2.3:9000', 'http://[::ffff:a01:203]:9000']],
    ['[::1]', ['http://[::1]', 'http://[0:0:0:0:0:0:0:1]:1', 'https://[::0.0.0.1]']],
    ['::1', ['http://[::1]:9000']],
    ['[::1]:9000', ['http://[::1]:9000']],
    ['[::ffff:10.1.2.3]:9000', ['http://10.1.2.3:9000']],
    ['::ffff:10.0.0.0/120', ['http://10.0.0.9']],
    ['nas.lan', ['http://nas.lan', 'https://nas.lan:8443', 'http://NAS.LAN.', 'http://nas。lan']],
    ['NAS.lan.:8443', ['https://nas.lan:8443', 'http://nas.lan.:8443']],
    ['bücher.example', ['https://xn--bcher-kva.example', 'https://BÜCHER.example']],
    ['xn--bcher-kva.example', ['https://bücher.example']],
    ['minio_1:9000', ['http://minio_1:9000']],
    ['nas.lan:443', ['https://nas.lan', 'https://nas.lan:443', 'http://nas.lan:443']],
    ['nas.lan:80', ['http://nas.lan', 'http://nas.lan:80']]
  ]
  // A host name listed by the operator may have any address.
  for (const [entry, urls] of cases) t.same(allowed([entry], urls, ['::1', '10.9.9.9']), urls, entry)
})

t.test('no entry allows more than it names', async (t) => {
  const cases: [string, string[]][] = [
    ['10.0.0.0/24', ['http://10.0.1.0', 'http://9.255.255.255', 'http://[::a00:7]/', 'http://nas.lan']],
    ['10.1.2.3', ['http://10.1.2.4', 'http://10.1.2.3.nip.io', 'http://nas.lan']],
    ['10.1.2.3:9000', ['http://10.1.2.3', 'http://10.1.2.3:9001', 'https://10.1.2.3']],
    ['fd00::/8', ['http://[fc00::1]', 'http://[2001:db8::1]', 'http://253.0.0.1']],
    ['::ffff:0:0/80', ['http://10.1.2.3', 'http://[::ffff:10.1.2.3]']],
    ['::/0', ['http://10.1.2.3', 'http://[::ffff:10.1.2.3]']],
    ['0.0.0.0/0', ['http://[2001:db8::1]', 'http://[::10.1.2.3]', 'http://localhost']],
    ['[::1]:9000', ['http://[::1]', 'http://[::1]:9001', 'http://127.0.0.1:9000']],
    [
      'nas.lan',
      ['http://nas', 'http://a.nas.lan', 'http://nas.lan.example.org', 'http://xnas.lan', 'http://nas.lan..']
    ],
    ['nas.lan:8443', ['https://nas.lan', 'http://nas.lan:80', 'https://nas.lan:8444', 'https://nas.lan:844']],
    ['nas.lan:443', ['http://nas.lan']],
    ['nas.lan:80', ['https://nas.lan']],
    ['localhost', ['http://127.0.0.1', 'http://[::1]', 'http://a.localhost']],
    ['127.0.0.1', ['http://localhost', 'http://localhost.', 'http://127.0.0.2']]
  ]
  for (const [entry, urls] of cases) {
    t.same(allowed([entry], urls, ['::1']), [], entry)
  }
})

t.test('only http and https are allowed, without a user name or a password in the URL', async (t) => {
  const urls = [
    'ftp://nas.lan',
    'ws://nas.lan',
    'wss://nas.lan',
    'file:///etc/passwd',
    'file://nas.lan/x',
    's3://nas.lan'
  ]
  const opaque = ['data:text/plain,x', 'javascript:0', 'nas.lan:80', 'gopher://nas.lan:80/']
  const userinfo = [
    'http://user@nas.lan',
    'http://:secret@nas.lan',
    'https://user:secret@nas.lan',
    'http://evil.org@nas.lan'
  ]
  t.same(allowed(['nas.lan'], [...urls, ...opaque, ...userinfo]), [])
  t.equal(
    denialReason(['nas.lan'], 'http://user:secret@nas.lan'),
    'http://nas.lan: the URL contains a user name or password'
  )
})

/** Notations of loopback and metadata addresses that have been used to bypass lists. */
const LOOPBACK = [
  'http://127.0.0.1',
  'http://127.1',
  'http://127.0.1',
  'http://2130706433',
  'http://0x7f000001',
  'http://0x7f.1',
  'http://0x7f.0x0.0x0.0x1',
  'http://0177.0.0.1',
  'http://017700000001',
  'http://0x7f.0.01',
  'http://127.0.0.1.',
  'http://１２７.0.0.1',
  'http://①②⑦.⓪.⓪.①',
  'http://127。0。0。1',
  'http://127%2e0.0.1',
  'http://[::ffff:127.0.0.1]',
  'http://[::ffff:7f00:1]',
  'http://[0:0:0:0:0:ffff:127.0.0.1]'
]

t.test('an address in any notation is refused by default', async (t) => {
  const others = [
    'http://0',
    'http://0.0.0.0',
    'http://[::]',
    'http://[::1]',
    'http://[::127.0.0.1]',
    'http://[64:ff9b::127.0.0.1]',
    'http://[2002:7f00:1::]',
    'http://10.0.0.1',
    'http://100.64.0.1',
    'http://192.168.0.1',
    'http://[fc00::1]',
    'http://224.0.0.1',
    'http://localhost',
    'http://localhost.',
    'http://LOCALHOST',
    'http://ⓛocalhost'
  ]
  const urls = [...LOOPBACK, ...others]
  t.same(allowed(['nas.lan', '203.0.113.0/24'], [...urls, ...overHttps(urls)], ['127.0.0.1']), [])
})

t.test('an address in any notation is allowed where an entry names it', async (t) => {
  t.same(allowed(['127.0.0.1:80'], LOOPBACK), LOOPBACK)
})

t.test('link-local and cloud metadata addresses are refused whatever is allowed', async (t) => {
  const urls = [
    'http://169.254.169.254/latest/meta-data/',
    'http://169.254.169.254.',
    'http://2852039166',
    'http://0xa9fea9fe',
    'http://0251.0376.0251.0376',
    'http://１６９.254.169.254',
    'http://169.254.0.1',
    'http://169.254.170.2',
    'http://[::ffff:169.254.169.254]',
    'http://[::ffff:a9fe:a9fe]',
    'http://[::169.254.169.254]',
    'http://[::ffff:0:169.254.169.254]',
    'http://[64:ff9b::169.254.169.254]',
    'http://[64:ff9b:1::169.254.169.254]',
    'http://[64:ff9b:1:a9fe:a9:fe00::]',
    'http://[64:ff9b:1:aa:a9:fea9:fe00:0]',
    'http://[64:ff9b:1:aaaa:a9:fea9:fe00:0]',
    'http://[64:ff9b::100.100.100.200]',
    'http://[2002:a9fe:a9fe::1]',
    'http://[fe80::1]',
    'http://[febf::1]',
    'http://[fd00:ec2::254]',
    'http://[fd00:ec2::23]',
    'http://[fd20:ce::254]',
    'http://[fd00:42::42]',
    'http://100.100.100.200',
    'http://168.63.129.16',
    'http://192.0.0.192',
    'http://metadata.google.internal',
    'http://METADATA.google.internal.',
    'http://metadata.goog',
    'http://metadata.tencentyun.com',
    'http://instance-data.ec2.internal'
  ]
  const entries = [
    ...EVERYTHING,
    '169.254.0.0/16',
    '169.254.169.254',
    '169.254.169.254:80',
    '[fd00:ec2::254]',
    'fe80::/10'
  ]
  const names = ['metadata.google.internal', 'metadata.goog', 'metadata.tencentyun.com', 'instance-data.ec2.internal']
  // Regardless of the addresses of the names.
  t.same(allowed([...entries, ...names], [...urls, ...overHttps(urls)], ['93.184.216.34']), [])
})

t.test('addresses next to the refused ranges can be allowed', async (t) => {
  const urls = [
    'http://169.253.1.1',
    'http://100.100.100.201',
    'http://[fec0::1]',
    'http://[fd00:42::43]',
    'http://[2002:a00::1]'
  ]
  t.same(allowed(EVERYTHING, urls), urls)
})

t.test('a named host may have any address except the refused ranges', async (t) => {
  const at = (...addresses: string[]): string | null => denialReason(['nas.lan:8080'], 'http://nas.lan:8080', addresses)
  for (const address of ['127.0.0.1', '::1', '10.0.0.1', '100.64.0.1', 'fd12::1', '93.184.216.34', '::ffff:10.0.0.1'])
    t.equal(at(address), null, address)
  for (const address of ['169.254.169.254', '::ffff:169.254.169.254', 'fe80::1', 'fd00:ec2::254', '100.100.100.200'])
    t.match(at(address), / is .*: link-local or cloud metadata$/, address)
  t.match(at('10.0.0.1', '169.254.169.254'), /169\.254/)
})

t.test('a range allows the names that resolve into it, with their port, over http too', async (t) => {
  t.equal(denialReason(['10.0.0.0/24'], 'http://nas.lan', ['10.0.0.7']), null)
  t.equal(denialReason(['10.0.0.0/24'], 'https://nas.lan:8443', ['10.0.0.7', '::ffff:10.0.0.8']), null)
  t.equal(denialReason(['93.184.216.34:8080'], 'http://example.org:8080', ['93.184.216.34']), null)
  t.equal(
    denialReason(['93.184.216.34:8080'], 'http://example.org:8081', ['93.184.216.34']),
    PLAIN('http://example.org:8081')
  )
  t.match(denialReason(['10.0.0.0/24'], 'http://nas.lan', ['10.0.1.7']), /not a public address, and not in allowHosts/)
})

t.test('one forbidden address among several forbids the name, in any position', async (t) => {
  const [good, bad] = [['93.184.216.34', '2606:2800:220:1::1'], '10.0.0.1']
  t.equal(denialReason([], 'https://example.org', good), null)
  for (const place of [0, 1, 2])
    t.match(
      denialReason([], 'https://example.org', good.toSpliced(place, 0, bad)),
      /is 10\.0\.0\.1: not a public address/
    )
})

t.test('plain http is refused before name resolution if no entry could allow it', async (t) => {
  t.equal(denialReason([], 'http://example.org'), PLAIN('http://example.org'))
  t.equal(denialReason(['10.0.0.1:8080'], 'http://example.org'), PLAIN('http://example.org'))
  t.equal(denialReason(['10.0.0.1:80'], 'http://example.org'), null)
  t.equal(
    denialReason(['10.0.0.1:80'], 'http://example.org', ['93.184.216.34']),
    'http://example.org:80 is 93.184.216.34: plain http, and not in allowHosts'
  )
})

t.test('text that is not an address is not allowed', async (t) => {
  for (const text of ['', 'nas.lan', 'fe80::1%eth0', '127.1', '0x7f.0.0.1', '1.2.3.4:80', '[::1]'])
    t.match(denialReason(EVERYTHING, 'https://nas.lan', [text]), /not a valid address/, text)
})

t.test('the log contains the host and the reason', async (t) => {
  const none = 'not a public address, and not in allowHosts'
  const secret = 'https://nas.lan:8443/secret?token=secret'
  t.equal(denialReason([], secret, ['10.0.0.1']), `https://nas.lan:8443 is 10.0.0.1: ${none}`)
  t.equal(denialReason([], 'http://10.0.0.1'), `http://10.0.0.1: ${none}`)
  t.equal(denialReason(EVERYTHING, 'http://169.254.1.1'), 'http://169.254.1.1: link-local or cloud metadata')
  t.equal(denialReason(EVERYTHING, 'https://metadata.goog'), 'https://metadata.goog: cloud metadata')
  t.equal(denialReason([], 'ftp://nas.lan'), 'ftp://nas.lan: neither http nor https')
})

/** Returns the message with which the parser and the egress reject an entry; both must agree. */
function messageFor(entry: string): string {
  const open = (allowHosts: string[]) => createEgress({ allowHosts, timeouts: TEST_TIMEOUTS })
  const messages = [parseAllowHosts, open].map((take) => {
    try {
      take(['nas.lan', entry])
      return 'nothing is wrong'
    } catch (error) {
      return (error as Error).message
    }
  })
  return messages[0] === messages[1] ? messages[0]! : messages.join(' but ')
}

t.test('an invalid entry is named', async (t) => {
  const cases: [string, RegExp][] = [
    ['*.lan', /wildcards/],
    ['*', /wildcards/],
    ['10.0.0.*', /wildcards/],
    ['https://nas.lan', /without a scheme/],
    ['10.0.0.0/33', /not an address range/],
    ['10.0.0.0/', /not an address range/],
    ['10.0.0.0/024x', /not an address range/],
    ['10.0.0/24', /not an address range/],
    ['10.0.0.0/255.255.255.0', /not an address range/],
    ['10.0.0.0/24:8443', /not an address range/],
    ['0x0a.0.0.0/8', /not an address range/],
    ['10.0.0.0/8/8', /not an address range/],
    ['fd00::/129', /not an address range/],
    ['fe80::%eth0/10', /not an address range/],
    ['nas.lan/files', /not an address range/],
    ['fe80::1%eth0', /not host or host:port/],
    ['1:2:3', /not host or host:port/],
    ['[::1', /not host or host:port/],
    ['[::1]9000', /not host or host:port/],
    ['nas.lan:', /not host or host:port/],
    ['nas.lan:http', /not host or host:port/],
    ['nas.lan:-1', /not host or host:port/],
    ['nas.lan:0', /the port must be/],
    ['nas.lan:65536', /the port must be/],
    ['nas.lan:99999', /the port must be/],
    ['127.1', /non-standard notation of an address, use 127\.0\.0\.1/],
    ['2130706433', /use 127\.0\.0\.1/],
    ['0x7f000001:80', /use 127\.0\.0\.1/],
    ['１２７.0.0.1', /use 127\.0\.0\.1/],
    ['127.0.0.1.', /use 127\.0\.0\.1/],
    ['', /not a valid host/],
    [':80', /not a valid host/],
    ['.', /not a valid host/],
    ['a..b', /not a valid host/],
    ['.lan', /not a valid host/],
    ['nas.lan..', /not a valid host/],
    [' nas.lan', /not a valid host/],
    ['nas.lan\n', /not a valid host/],
    ['nas .lan', /not a valid host/],
    ['user@nas.lan', /not a valid host/],
    ['nas.lan?x', /not a valid host/],
    ['nas.lan#x', /not a valid host/],
    ['nas%2elan', /not a valid host/],
    ['nas\\lan', /not a valid host/],
    ['[nas.lan]', /not a valid host/],
    ['[]', /not a valid host/],
    ['1.2.3.4.5', /not a valid host/],
    ['nas|lan', /not a valid host/],
    [`${'a'.repeat(64)}.lan`, /not a valid host/],
    [`${'a.'.repeat(127)}aa`, /not a valid host/]
  ]
  for (const [entry, reason] of cases) {
    const message = messageFor(entry)
    t.ok(message.startsWith(`allowHosts: "${entry}" is invalid: `), JSON.stringify(entry))
    t.match(message, reason)
  }
})

t.test('an entry that is not a string is refused', async (t) => {
  for (const entry of [null, undefined, 80, {}] as string[]) {
    t.equal(messageFor(entry), 'allowHosts: every entry must be a string')
  }
})
