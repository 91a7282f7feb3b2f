import { type AddressInfo, connect } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { serverApp } from '../support/app/server-app.ts'

/** Nearly Node's limit for the head of a request (32 KiB). */
const LONG = 31 * 1024
const SHORT = 16
/** Requests on one connection, to reduce the weight of the connection's own cost. */
const REQUESTS = 4
/** The maximum CPU cost of a long request, as a multiple of a short one of the same kind. */
const MAX_RATIO = 3
/**
 * Measurements of a kind before its ratio counts. JIT compilation and garbage collection add to single ones, and
 * nothing makes one cheaper than it is, so the minimum of each is compared.
 */
const TRIES = 60
/** The log line of a request: a URL of 1024 characters, host, address and user agent of 255 each, and the rest. */
const MAX_LINE = 4096

/** Strings at which patterns of the log, and parsers of headers and URLs, may restart matching. */
const UNITS = [
  ...['a', ',', 'a, ', 'a=b;', '"', '\\', '(', 'é', '\t', '%', '%41', '%2F', '+', '&', 'a&', '/', '/../', ':'],
  ...['://', 'a://', '://a:', 'http://a?b ', ':a@', '://a@', 'Bearer ', 'Basic', 'Bearer a ']
]
/** The separators of single header parsers. */
const HEADERS: Readonly<Record<string, string>> = {
  'user-agent': 'a/1 (b) ',
  referer: 'http://a:b',
  'x-request-id': 'a-',
  cookie: 'a=b; ',
  accept: 'a/b;q=0,',
  'accept-encoding': 'gzip;q=0.5,',
  origin: 'http://',
  authorization: 'Bearer a.',
  range: 'bytes=0-0,',
  'if-none-match': 'W/"a",',
  'content-type': 'a/b; c="',
  'x-forwarded-for': '127.0.0.1, ',
  'x-forwarded-host': 'a, ',
  forwarded: 'for=a;'
}

const filled = (unit: string, length: number): string => unit.repeat(Math.ceil(length / unit.length)).slice(0, length)
const header = (name: string) => (value: string) =>
  `GET /cloud/connections HTTP/1.1\r\nhost: x\r\n${name}: ${value}\r\n\r\n`
const url = (path: (text: string) => string) => (text: string) => `GET ${path(text)} HTTP/1.1\r\nhost: x\r\n\r\n`

/** A request of each kind that contains a text. */
const KINDS: Readonly<Record<string, (text: string) => string>> = {
  path: url((text) => `/${text}`),
  'path of a document': url((text) => `/documents/${text}/content`),
  'path of a listing': url((text) => `/cloud/${text}/listing`),
  query: url((text) => `/health/live?${text}`),
  'query of a listing': url((text) => `/cloud/s3/listing?folder=${text}`),
  host: (text) => `GET /cloud/connections HTTP/1.1\r\nhost: ${text}\r\n\r\n`,
  'host and path': (text) =>
    `GET /${text.slice(0, text.length / 2)} HTTP/1.1\r\nhost: ${text.slice(0, text.length / 2)}\r\n\r\n`,
  'name of a header': (text) => `GET /cloud/connections HTTP/1.1\r\nhost: x\r\na${text}: x\r\n\r\n`,
  'many headers': (text) => `GET / HTTP/1.1\r\nhost: x\r\n${text.replaceAll(/.{1,12}/gs, 'a: b\r\n')}\r\n`,
  ...Object.fromEntries(Object.keys(HEADERS).map((name) => [name, header(name)]))
}

/** Returns the CPU microseconds of `REQUESTS` requests on one connection; a refused one closes it. */
async function costOf(port: number, request: string): Promise<number> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const bytes = Buffer.from(request.repeat(REQUESTS), 'latin1')
  const before = process.cpuUsage()
  socket.write(bytes)
  let heard = ''
  socket.setEncoding('latin1').on('error', () => {})
  await new Promise<void>((resolve) => {
    socket.once('close', resolve)
    socket.on('data', (text: string) => {
      heard += text
      if (heard.split('HTTP/1.1 ').length > REQUESTS) resolve()
    })
  })
  const { user, system } = process.cpuUsage(before)
  socket.destroy()
  return user + system
}

t.test(
  'a request of 31 KB costs little more than a short one, whatever it contains, and is logged in a short line',
  async (t) => {
    const { app, log } = await serverApp(t, { config: { logLevel: 'info', trustProxy: ['loopback'] } })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    for (let warm = 0; warm < 30; warm++) await costOf(port, KINDS['path']!('a'))
    const worst: string[] = []
    for (const [kind, request] of Object.entries(KINDS)) {
      for (const unit of [...UNITS, ...(HEADERS[kind] === undefined ? [] : [HEADERS[kind]])]) {
        let [short, long] = [Infinity, Infinity]
        for (let tried = 0; tried < 2 || (tried < TRIES && long > MAX_RATIO * short); tried++) {
          short = Math.min(short, await costOf(port, request(filled(unit, SHORT))))
          long = Math.min(long, await costOf(port, request(filled(unit, LONG))))
        }
        if (long > MAX_RATIO * short) worst.push(`${kind} of ${JSON.stringify(unit)}: ${long} and ${short} µs`)
        const lines = log.text.split('\n')
        log.text = ''
        const tooLong = lines.filter((line) => line.length > MAX_LINE)
        t.same(tooLong, [], `lines of ${kind} with ${unit}`)
      }
    }
    t.same(worst, [])
  }
)

t.test('a URL longer than a folder ID and a cursor need is 414, and its beginning is logged', async (t) => {
  const { app, log } = await serverApp(t, { config: { logLevel: 'info' } })
  const get = (length: number) => app.inject(filled('/cloud/s3/listing?folder=%41', 28) + 'a'.repeat(length - 28))
  t.equal((await get(29_696)).statusCode, 401)
  const tooLong = await get(29_697)
  t.equal(tooLong.statusCode, 414)
  t.match(tooLong.json(), { title: 'URI Too Long', detail: 'The URL is longer than 29696 characters.' })
  t.match(log.text, /"url":"\/cloud\/s3\/listing",.*"statusCode":414/)
})
