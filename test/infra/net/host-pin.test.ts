import t from 'tap'
import { isAtDeclaredHost, isSameOrigin } from '../../../src/infra/net/host-pin.ts'

const same = (a: string, b: string): boolean => isSameOrigin(new URL(a), new URL(b))
const at = (url: string, ...hosts: string[]): boolean => isAtDeclaredHost(new URL(url), hosts)

t.test('an origin is scheme, host and port', async (t) => {
  t.ok(same('https://nas.lan/a', 'https://NAS.lan:443/b?c#d'))
  t.notOk(same('https://nas.lan', 'http://nas.lan'))
  t.notOk(same('https://nas.lan', 'https://nas.lan:444'))
  t.notOk(same('https://nas.lan', 'https://nas.lan.'))
  t.notOk(same('https://nas.lan', 'https://a.nas.lan'))
  // Opaque origins are nobody's, not even their own.
  t.notOk(same('file:///a', 'file:///a'))
  t.notOk(same('data:,a', 'data:,a'))
})

t.test('a declared host is that host alone', async (t) => {
  t.ok(at('https://content.example.org/x?y', 'other.org', 'content.example.org'))
  t.ok(at('https://CONTENT.example.org:443', 'content.example.org'))
  for (const url of [
    'https://example.org',
    'https://a.content.example.org',
    'https://xcontent.example.org',
    'https://content.example.org.evil.org',
    'https://content.example.org.',
    'http://content.example.org',
    'https://content.example.org:8443',
    'https://user@content.example.org',
    'https://:secret@content.example.org',
    'ftp://content.example.org',
    'https://evil.org/content.example.org',
    'https://evil.org#content.example.org'
  ])
    t.notOk(at(url, 'content.example.org'), url)
  t.notOk(at('https://content.example.org'))
})

t.test('a wildcard means all below, and not the host itself', async (t) => {
  t.ok(at('https://a.example.org', '*.example.org'))
  t.ok(at('https://a.b.example.org', '*.example.org'))
  for (const url of [
    'https://example.org',
    'https://xexample.org',
    'https://a.example.org.evil.org',
    'http://a.example.org'
  ])
    t.notOk(at(url, '*.example.org'), url)
})
