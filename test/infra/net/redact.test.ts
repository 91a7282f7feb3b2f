import t from 'tap'
import { describeExchange } from '../../../src/infra/net/redact.ts'

t.test('an exchange is told by method, origin, status and a few headers', async (t) => {
  const url = new URL('https://nas.lan:8443/files/a?b=c')
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-length': '120',
    'content-encoding': 'gzip',
    'retry-after': '5',
    server: 'nginx'
  }
  t.equal(describeExchange('GET', url), 'GET https://nas.lan:8443')
  t.equal(describeExchange('GET', url, { status: 204, headers: {} }), 'GET https://nas.lan:8443 answered 204')
  t.equal(
    describeExchange('PROPFIND', url, { status: 503, headers }),
    'PROPFIND https://nas.lan:8443 answered 503 ' +
      '(content-type: text/html, content-length: 120, content-encoding: gzip, retry-after: 5)'
  )
})

t.test('no part of a URL but the origin is told', async (t) => {
  const url = new URL('https://SECRET:SECRET@nas.lan/Bearer SECRET;SECRET/?token=Bearer SECRET#SECRET')
  t.equal(describeExchange('GET', url), 'GET https://nas.lan')
})

t.test('no header tells a secret, by whatever name and in whatever place', async (t) => {
  const names = ['content-type', 'content-length', 'content-encoding', 'retry-after', 'location', 'www-authenticate']
  const values = [
    'Bearer SECRET',
    'SECRET',
    'text/SECRET',
    'SECRET/plain',
    'text/html SECRET',
    'text/html; SECRET',
    'text/htmlSECRET',
    'text/html\nSECRET',
    'application/json+SECRET',
    'gzip SECRET',
    'gzip, SECRET',
    '5 SECRET',
    '5\r\nSECRET',
    'SECRET 5'
  ]
  for (const name of [...names, 'set-cookie', 'x-request-id', 'SECRET', '__proto__', 'constructor'])
    for (const value of values) {
      const headers = Object.fromEntries([[name, value]])
      const told = describeExchange('GET', new URL('https://nas.lan'), { status: 200, headers })
      t.notMatch(told, /secret|[\r\n]/i, `${name}: ${value}`)
    }
})
