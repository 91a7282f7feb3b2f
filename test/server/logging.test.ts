import { Writable } from 'node:stream'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { logOptions, truncate, redactSecrets } from '../../server/logging.ts'

/** An application with collected log lines. */
function loggingApp(t: Test) {
  const lines: string[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    }
  })
  const app = Fastify({ logger: logOptions('trace', stream) })
  t.teardown(() => app.close())
  return { app, lines }
}

t.test('credentials and queries of URLs are redacted, and the rest of the line is unchanged', async (t) => {
  for (const [text, shown] of [
    ['Bearer abc.def', 'Bearer [hidden]'],
    ['{"a":"Basic dXNlcg==","b":1}', '{"a":"Basic [hidden]","b":1}'],
    ['postgres://user:pass@db:5432/x failed', 'postgres://[hidden]@db:5432/x failed'],
    ['redis://:p@ss@host/0', 'redis://[hidden]@host/0'],
    ['GET https://host/path?token=abc&x=1 said no', 'GET https://host/path?[hidden] said no'],
    ['"http://host?q=1","http://other?r=2"', '"http://host?[hidden]","http://other?[hidden]"'],
    ['HTTPS://user:pass@host/a?b', 'HTTPS://[hidden]@host/a?[hidden]'],
    ['https://host/path?', 'https://host/path?'],
    ['why? because a@b.example', 'why? because a@b.example'],
    ['path/to?q=1', 'path/to?q=1']
  ] as const) {
    t.equal(redactSecrets(text), shown)
  }
})

t.test('a logged path, host and message have limited lengths', async (t) => {
  const { app, lines } = loggingApp(t)
  const long = 'a.'.repeat(15_000)
  await app.inject({ url: `/${long}?${long}`, headers: { host: long } })
  app.log.error(new Error(long), long)
  t.ok(lines.length >= 3)
  for (const line of lines) {
    t.ok(line.length < 20_000, `${String(line.length)} characters`)
    t.type(JSON.parse(line), 'object')
  }
})

t.test('a cut inside of a URL does not reveal its password', async (t) => {
  const { app, lines } = loggingApp(t)
  const filler = 'a '.repeat(2040)
  for (let length = 0; length < 32; length++) {
    const text = `${filler.slice(length)}postgres://user:hunter2@db/x ${filler}`
    app.log.error(new Error(text), text)
  }
  t.equal(lines.length, 32)
  t.notMatch(lines.join(), /hunter|user:/)
})

t.test('text that is cut anywhere reveals no part of a secret, and only its beginning is scanned', async (t) => {
  const SECRETS = [
    'postgres://SECRET:SECRET@db/x',
    'redis://:SECRET@SECRET@SECRET@db/x',
    '"https://SECRET:SECRET@db/x?SECRET=SECRET#SECRET"',
    'a://b://SECRET:SECRET@db',
    'read https://db/x?SECRET=SECRET said no',
    'Bearer SECRET.SECRET',
    '{"authorization":"Basic SECRET=="}'
  ]
  for (const secret of SECRETS) {
    const text = `no ${secret} ${'a '.repeat(20_000)}`
    for (let length = 0; length < 100; length++) {
      const shown = truncate(text, length)
      t.ok(shown.length <= length + 1, shown)
      // The surrounding words contain none of its letters.
      t.notMatch(redactSecrets(shown), /[SECRT]/, `${length}: ${shown}`)
    }
  }
  t.equal(
    truncate('postgres://user:pass@db', 100),
    'postgres://user:pass@db',
    'a short text is redacted with the finished line'
  )
})
