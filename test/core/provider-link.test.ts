import fc from 'fast-check'
import t from 'tap'
import { parseProviderLink } from '../../src/core/provider-link.ts'

/** What a browser makes of a link. */
function normalise(link: string): string | null {
  if (!URL.canParse(link)) return null
  const { protocol, username, password, href } = new URL(link)
  return (protocol === 'https:' || protocol === 'http:') && username + password === '' ? href : null
}

t.test('links that need no parsing are exactly as a browser normalises them', async (t) => {
  for (const link of [
    'https://drive.google.com/file/d/1a_B-c/view?usp=drivesdk',
    'https://contoso-my.sharepoint.com/personal/ann/Documents/report.v2.docx?web=1',
    'https://example.org/a/./b',
    'https://example.org/a/../b',
    'https://example.org/..',
    'https://example.org/%2e%2e/b',
    'https://example.org/a b',
    'https://example.org',
    'https://EXAMPLE.org/',
    'https://1.2/',
    'https://0x7f.1/',
    'https://xn--a.org/',
    'https://a..org/',
    'https://-a.org/',
    'https://user@example.org/',
    'https://example.org:443/',
    'https://example.org/\n',
    'https://example.org\\@evil.org/'
  ]) {
    t.equal(parseProviderLink(link), normalise(link), JSON.stringify(link))
  }
})

t.test('a link made of any parts is parsed as by a browser', async (t) => {
  const part = fc.constantFrom(
    'a',
    'Z',
    '0',
    '.',
    '..',
    '-',
    '--',
    '/',
    '//',
    '?',
    '#',
    '=',
    '%2e',
    '%',
    '@',
    ':',
    '\\',
    ' ',
    '\n',
    'xn--',
    'org',
    'é'
  )
  const link = fc.array(part, { maxLength: 12 }).map((parts) => `https://example.${parts.join('')}`)
  fc.assert(
    fc.property(link, (each) => parseProviderLink(each) === normalise(each)),
    { numRuns: 20_000 }
  )
  t.pass('no link differs')
})
