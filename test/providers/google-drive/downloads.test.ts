import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { openGoogleDrive } from '../../contract/harness/google-drive.ts'
import { call, rejectsWith } from '../../contract/suite/arrange.ts'
import { answers, htmlPage, redirects } from '../../fakes/faults.ts'
import { FakeDrive } from '../../fakes/drive/fake-drive.ts'
import { readBody } from '../../support/read-body.ts'
import { until } from '../../support/until.ts'

async function start(t: Test) {
  const fake = await FakeDrive.start(t)
  const { backend } = await openGoogleDrive(t, fake)
  return { fake, tree: fake.tree, backend }
}

t.test('a download that is cut off breaks', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: randomBytes(100_000) })
  fake.resetDownloads(1, 50_000)
  const { body } = await backend.download(id, call())
  await rejectsWith(t, readBody(body), 'PROVIDER_UNAVAILABLE')
})

t.test('a version that comes between is looked at once more', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'first' })
  const isMedia = { matching: ({ query }: { query: URLSearchParams }) => query.get('alt') === 'media' }
  /** Has a new version written right before the content is sent. */
  const overtake = (content: string, times = 1) => {
    let left = times
    fake.failNext(0, () => {}, {
      matching: (request) => {
        if (isMedia.matching(request) && left-- > 0) tree.write(id, content.repeat(left + 1))
        return false
      }
    })
  }
  overtake('second, and longer')
  const download = await backend.download(id, call())
  t.equal((await readBody(download.body)).toString(), 'second, and longer')
  t.match(download, { size: 18, etag: `${id.slice(0, 12)}-r2` })

  overtake('other')
  const part = await backend.download(id, { ...call(), range: { start: 10 } }).catch((error: unknown) => error)
  t.match(part, { code: 'RANGE_NOT_SATISFIABLE' }, 'what was shortened has no such bytes')
  overtake('always another ', 2)
  await rejectsWith(t, backend.download(id, call()), 'PROVIDER_ERROR')
})

t.test('other bytes than were asked for are no download', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'content' })
  const matching = ({ query }: { query: URLSearchParams }) => query.get('alt') === 'media'
  const range = { start: 2, end: 4 }
  const coded = answers(200, { headers: { 'content-encoding': 'gzip' }, body: 'content' })
  fake.failNext(2, coded, { matching })
  await rejectsWith(t, backend.download(id, call()), 'PROVIDER_ERROR', 'compressed, and as long as the file')
  for (const [name, fault] of Object.entries({
    page: htmlPage(),
    other: answers(206, { headers: { 'content-range': 'bytes 1-3/7' }, body: 'ont' }),
    'no range': answers(206, { body: 'nte' }),
    compressed: answers(200, { headers: { 'content-encoding': 'gzip' }, body: 'content' }),
    gone: answers(416),
    elsewhere: redirects('https://example.com/')
  })) {
    fake.failNext(2, fault, { matching })
    await rejectsWith(t, backend.download(id, { ...call(), range }), 'PROVIDER_ERROR', name)
    fake.failNext(0, fault)
  }
  await until(() => fake.busy() === 0)
})

t.test('what is dangerous is not downloaded, nor what may not be', async (t) => {
  const { tree, backend } = await start(t)
  const abusive = tree.addFile({ name: 'abusive', content: 'x', abusive: true })
  await rejectsWith(t, backend.download(abusive.id, call()), 'ACCESS_DENIED')
  const kept = tree.addFile({ name: 'kept', content: 'x', capabilities: { canDownload: false } })
  await rejectsWith(t, backend.download(kept.id, call()), 'ACCESS_DENIED')
})
