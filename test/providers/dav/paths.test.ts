import fc from 'fast-check'
import t from 'tap'
import { DavPaths } from '../../../src/providers/dav/paths.ts'
import { anyText } from '../../support/arbitraries.ts'

const BASES = ['https://h.example/dav/', 'https://h.example/', 'http://[::1]:8080/a%20b/%C3%A9/', 'http://10.0.0.1/a/']
const segment = anyText({ minLength: 1, maxLength: 20 })
const anyId = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean())

t.test('every id that may be sent comes back out of its URL', async () => {
  for (const base of BASES) {
    const paths = new DavPaths(new URL(base))
    fc.assert(
      fc.property(anyId, ([segments, isFolder]) => {
        const id = segments.join('/') + (isFolder ? '/' : '')
        if (!paths.isUsable(id)) return true
        const url = paths.urlOf(id)
        const told = paths.segmentsOf(url.pathname)
        const absolute = paths.segmentsOf(url.href)
        const expected = (isFolder ? id.slice(0, -1) : id).split('/')
        return (
          url.href.startsWith(base) &&
          JSON.stringify(told) === JSON.stringify(expected) &&
          JSON.stringify(absolute) === JSON.stringify(expected)
        )
      })
    )
  }
})

t.test('an id that leads elsewhere for somebody is not sent', async (t) => {
  const paths = new DavPaths(new URL('https://h.example/dav/'))
  for (const id of [
    '',
    '/',
    '//',
    'a//b',
    '/a',
    '.',
    '..',
    '../',
    'a/../b',
    '..\\b',
    'a\\..\\b',
    'a\0',
    '\ud800',
    'x'.repeat(4097)
  ]) {
    t.throws(() => paths.urlOf(id), { code: 'INVALID_REQUEST' }, JSON.stringify(id.slice(0, 20)))
  }
  t.equal(paths.urlOf('a\\b').href, 'https://h.example/dav/a%5Cb')
  t.throws(() => paths.folderUrlOf('a'), { code: 'FOLDER_NOT_FOUND' })
  t.throws(() => paths.childId(null, 'a/b'), { code: 'INVALID_REQUEST' })
  t.throws(() => paths.childId('a', 'b'), { code: 'FOLDER_NOT_FOUND' })
})

t.test('an href is read for its path alone, and only where it is ours', async (t) => {
  const paths = new DavPaths(new URL('https://h.example/dav/'))
  const cases: [string, string[] | null][] = [
    ['/dav/', []],
    ['/dav', []],
    ['/dav/a', ['a']],
    ['/d%61v/%61/', ['a']],
    ['/dav/a#b?c', ['a#b?c']],
    ['/dav/%25%2541', ['%%41']],
    ['http://h.example:8080/dav/a', ['a']],
    ['HTTPS://H.EXAMPLE/dav/a', ['a']],
    ['//h.example/dav/a', ['a']],
    ['https://h.example.evil/dav/a', null],
    ['https://evil.example/dav/a', null],
    ['https://h.example@evil.example/dav/a', null],
    ['//evil.example/dav/a', null],
    ['file:///dav/a', null],
    ['/dav2/x', null],
    ['/Dav/x', null],
    ['/x', null],
    ['/', null],
    ['', null],
    ['a', null],
    ['dav/a', null],
    ['/dav/../x', null],
    ['/dav/%2e%2e/x', null],
    ['/dav/.%2E', null],
    ['/dav/a%2fb', null],
    ['/dav/a%2Fb', null],
    ['/dav//a', null],
    ['/dav/a//', null],
    ['/dav/%ff', null],
    ['/dav/\ufffd', null],
    ['/dav/100%', null],
    ['/dav/a%00', null]
  ]
  for (const [href, segments] of cases) t.same(paths.segmentsOf(href), segments, href)
  t.same(new DavPaths(new URL('http://h/')).segmentsOf('/a/b/'), ['a', 'b'])
  t.same(new DavPaths(new URL('http://h/')).segmentsOf('/'), [])
  t.same(new DavPaths(new URL('http://[::1]:1/d/')).segmentsOf('http://[0:0::1]:2/d/a'), ['a'])
  t.same(new DavPaths(new URL('http://h/a%20b/')).segmentsOf('/a b/c'), ['c'])
})
