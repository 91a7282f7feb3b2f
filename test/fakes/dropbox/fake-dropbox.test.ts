import { createHash } from 'node:crypto'
import { bytesUpload, uploadFile, type files } from 'dropbox'
import t from 'tap'
import { sendRequest, takeMistakes, type RequestOptions } from '../../support/dav/requests.ts'
import { resets } from '../faults.ts'
import { clientFor, startWithClient, startFakeDropbox, listAll, refusalOf, errorSummaryOf } from './client.ts'
import { accessError, authError, endpointError, rateLimited } from './failure.ts'
import { FAKE_DROPBOX_TOKEN } from './fake-dropbox.ts'

const BLOCK = 4 * 1024 * 1024
const NAME = 'Ünï "q" 文件 😀\u007f.txt'
const EVERY_SCOPE = ['account_info.read', 'files.metadata.read', 'files.content.read', 'files.content.write']

const hashOf = (content: Buffer) => {
  const all = createHash('sha256')
  for (let at = 0; at < content.length; at += BLOCK) {
    all.update(
      createHash('sha256')
        .update(content.subarray(at, at + BLOCK))
        .digest()
    )
  }
  return all.digest('hex')
}

t.test('the official client lists', async (t) => {
  t.test('pages without an order, with all metadata', async (t) => {
    const { fake, client } = await startWithClient(t)
    const folder = fake.tree.addFolder({ name: 'Folder' })
    const clientModified = new Date('2024-05-06T07:08:09.010Z')
    const serverModified = new Date('2024-06-06T07:08:09.999Z')
    const content = Buffer.alloc(BLOCK + 1, 'x')
    const file = fake.tree.addFile({ name: 'A.txt', parent: folder, content, clientModified, serverModified })
    fake.tree.addFile({ name: 'link', parent: folder, symlinkTarget: '/etc' })
    fake.tree.addDocument({ name: 'Doc.paper', parent: folder, exports: { html: '<p>', markdown: '#' } })
    fake.tree.addFiles(40, (index) => ({ name: `${index}`.padStart(2, '0'), parent: folder }))
    const { pages, entries, names } = await listAll(client, { path: '/fOLDER', limit: 15 })
    t.same(
      pages.map((page) => [page.entries.length, page.has_more]),
      [
        [15, true],
        [15, true],
        [13, false]
      ]
    )
    t.equal(new Set(names).size, 43)
    const numbers = names.filter((name) => /^\d+$/.test(name))
    t.notSame(numbers, [...numbers].sort())
    t.same(
      entries.find(({ name }) => name === 'A.txt'),
      {
        ...{ '.tag': 'file', name: 'A.txt', path_lower: '/folder/a.txt', path_display: '/Folder/A.txt', id: file.id },
        ...{ client_modified: '2024-05-06T07:08:09Z', server_modified: '2024-06-06T07:08:09Z', rev: file.rev },
        ...{ size: BLOCK + 1, is_downloadable: true, content_hash: hashOf(content) }
      }
    )
    t.match(file, { id: /^id:[\w-]{22}$/, rev: /^[0-9a-f]{9,}$/ })
    t.match(
      entries.find(({ name }) => name === 'link'),
      { symlink_info: { target: '/etc' } }
    )
    t.match(
      entries.find(({ name }) => name === 'Doc.paper'),
      {
        is_downloadable: false,
        export_info: { export_as: 'html', export_options: ['html', 'markdown'] }
      }
    )
    const { names: byId } = await listAll(client, { path: folder.id, include_non_downloadable_files: false })
    t.equal(byId.length, 42)
    fake.tree.addFolder({ name: 'Mounted', namespaceId: '4711' })
    const root = await client.filesListFolder({ path: '', include_mounted_folders: false })
    const facts = { '.tag': 'folder', name: 'Folder', path_lower: '/folder', path_display: '/Folder', id: folder.id }
    t.same(root.result.entries, [facts])
    t.same((await client.filesGetMetadata({ path: '/folder' })).result, facts)
  })

  t.test('later changes', async (t) => {
    const { fake, client } = await startWithClient(t)
    const nodes = fake.tree.addFiles(6, (index) => ({ name: `file ${index}`, content: 'before' }))
    const first = (await client.filesListFolder({ path: '', limit: 6 })).result
    t.equal(first.has_more, false)
    const [written, removed, renamed] = nodes
    fake.tree.write(written?.id ?? '', 'after all')
    fake.tree.remove(removed?.id ?? '')
    fake.tree.rename(renamed?.id ?? '', 'other')
    fake.tree.addFile({ name: 'below', parent: fake.tree.addFolder({ name: 'new' }) })
    const changes = (await client.filesListFolderContinue({ cursor: first.cursor })).result
    const said = changes.entries.map((entry) => [entry['.tag'], entry.name, 'size' in entry ? entry.size : undefined])
    t.same(said, [
      ['file', 'file 0', 9],
      ['deleted', 'file 1', undefined],
      ['deleted', 'file 2', undefined],
      ['file', 'other', 6],
      ['folder', 'new', undefined]
    ])
    t.same((await client.filesListFolderContinue({ cursor: changes.cursor })).result.entries, [])
    const { entries } = await listAll(client, { path: '', include_deleted: true, recursive: true })
    t.same(
      entries.filter((entry) => entry['.tag'] === 'deleted').map(({ name }) => name),
      ['file 1']
    )
    t.ok(entries.some(({ path_lower: path }) => path === '/new/below'))
    const gone = await client.filesGetMetadata({ path: '/FILE 1', include_deleted: true })
    t.match(gone.result, { '.tag': 'deleted', path_lower: '/file 1' })
  })

  t.test('the change of an item on a later page of the same chain', async (t) => {
    const { fake, client } = await startWithClient(t)
    fake.tree.addFiles(4, (index) => ({ name: `${index}` }))
    const first = (await client.filesListFolder({ path: '', limit: 2 })).result
    const [seen] = first.entries
    fake.tree.remove(fake.tree.at(seen?.name ?? '')?.id ?? '')
    const { result: second } = await client.filesListFolderContinue({ cursor: first.cursor })
    t.same([second.entries.length, second.has_more], [2, true])
    const { result: third } = await client.filesListFolderContinue({ cursor: second.cursor })
    t.match(third, { has_more: false, entries: [{ '.tag': 'deleted', name: seen?.name }] })
  })

  t.test('pages that are longer, empty or faulty', async (t) => {
    const { fake, client } = await startWithClient(t)
    fake.tree.addFiles(6, (index) => ({ name: `${index}` }))
    const shape = async () => (await listAll(client, { path: '', limit: 2 })).pages.map((page) => page.entries.length)
    Object.assign(fake.knobs, { extraPerPage: 1, emptyPages: [1, 3] })
    t.same(await shape(), [0, 3, 0, 3])
    Object.assign(fake.knobs, { extraPerPage: 0, emptyPages: [], pageFault: 'doubles' })
    t.same(await shape(), [2, 2, 2, 2, 2])
    fake.knobs.pageFault = 'skips'
    t.same(await shape(), [2, 2, 0])
    for (const pageFault of ['loops', 'repeats'] as const) {
      fake.knobs.pageFault = pageFault
      const { pages } = await listAll(client, { path: '', limit: 2 })
      t.equal(pages.length, 50)
      t.equal(new Set(pages.map(({ cursor }) => cursor)).size, pageFault === 'loops' ? 1 : 50)
      t.equal(new Set(pages.flatMap(({ entries }) => entries.map(({ name }) => name))).size, 2)
    }
  })

  t.test('changes since a cursor without a listing', async (t) => {
    let now = Date.UTC(2026, 0, 1)
    const { fake, client } = await startWithClient(t, { now: () => new Date(now) })
    const folder = fake.tree.addFolder({ name: 'folder' })
    const file = fake.tree.addFile({ name: 'old', parent: folder })
    const latest = async (path: string) =>
      (await client.filesListFolderGetLatestCursor({ path, limit: 1 })).result.cursor
    const changesSince = async (cursor: string) => {
      const { entries, has_more } = (await client.filesListFolderContinue({ cursor })).result
      return [...entries.map((entry) => `${entry['.tag']} ${entry.name}`), ...(has_more ? ['…'] : [])]
    }
    const cursor = await latest(folder.id)
    fake.tree.addFile({ name: 'elsewhere' })
    t.same(await changesSince(cursor), [])
    fake.tree.rename(file, 'new')
    t.same(await changesSince(cursor), ['deleted old', '…'])
    fake.knobs.changeLagMs = 5000
    t.same(await changesSince(cursor), [], 'not reported yet')
    t.match((await client.filesListFolder({ path: folder.id })).result.entries, [{ name: 'new' }], 'but listed')
    const lagging = await latest(folder.id)
    now += 5000
    t.same(await changesSince(lagging), ['deleted old', '…'])
    fake.knobs.cursorLifetimeMs = 10_000
    now += 5000
    t.same(await changesSince(cursor), ['deleted old', '…'])
    now += 10_000
    t.same(await changesSince(cursor), ['deleted old', '…'], 'use prolongs its life')
    t.equal(await errorSummaryOf(changesSince(lagging)), 'reset/')
    t.equal(await errorSummaryOf(latest('/missing')), 'path/not_found/')
    t.equal(await errorSummaryOf(latest('/elsewhere')), 'path/not_folder/')
    const moved = await latest(folder.id)
    fake.tree.rename(folder, 'moved')
    now += 5000
    t.same(await changesSince(moved), ['file new'])
    fake.knobs.movedFolderError = 'reset'
    t.equal(await errorSummaryOf(changesSince(moved)), 'reset/')
    fake.knobs.movedFolderError = 'not_found'
    t.equal(await errorSummaryOf(changesSince(moved)), 'path/not_found/')
  })

  t.test('no equal calls at the same time', async (t) => {
    const { fake, client } = await startWithClient(t)
    const { last: cursor } = await listAll(client, { path: '' })
    fake.delayMs = () => 50
    const statusesOf = async (calls: Promise<unknown>[]) =>
      (await Promise.allSettled(calls)).map((call) =>
        call.status === 'rejected' ? (call.reason as { status: number }).status : 200
      )
    const check = () => client.filesListFolderContinue({ cursor })
    t.same((await statusesOf([check(), check()])).sort(), [200, 429])
    t.same(await statusesOf([check()]), [200], 'once the other call has ended')
    const list = (limit: number) => client.filesListFolder({ path: '', limit })
    t.same((await statusesOf([list(1), list(1)])).sort(), [200, 429])
    t.same(await statusesOf([list(1), list(2), check()]), [200, 200, 200])
  })

  t.test('an error once its cursors are reset', async (t) => {
    const { fake, client } = await startWithClient(t)
    const { last: cursor } = await listAll(client, { path: '' })
    fake.resetCursors()
    t.match(await refusalOf(client.filesListFolderContinue({ cursor })), {
      status: 409,
      error: { error: { '.tag': 'reset' } }
    })
    t.equal(await errorSummaryOf(client.filesListFolder({ path: '/missing' })), 'path/not_found/')
    fake.tree.addFile({ name: 'a' })
    t.equal(await errorSummaryOf(client.filesListFolder({ path: '/a' })), 'path/not_folder/')
  })

  t.test('five thousand files quickly', async (t) => {
    const { fake, client } = await startWithClient(t)
    fake.tree.addFiles(5000, (index) => ({ name: `file ${index}` }))
    const before = process.cpuUsage()
    const { names } = await listAll(client, { path: '', limit: 200 })
    t.equal(new Set(names).size, 5000)
    t.ok(process.cpuUsage(before).user < 5_000_000)
  })
})

t.test('the official client reads', async (t) => {
  t.test('a file under any of its paths', async (t) => {
    const { fake, client } = await startWithClient(t)
    const folder = fake.tree.addFolder({ name: 'Shared', namespaceId: '4711' })
    const file = fake.tree.addFile({ name: 'Größe 😀.txt', parent: folder, content: '0123456789' })
    const [name, rev] = ['Größe 😀.txt', file.rev]
    for (const path of [`/shared/${name}`, file.id, `${folder.id}/${name}`, `ns:4711/${name}`, `rev:${rev}`]) {
      const { result, headers } = await client.filesDownload({ path })
      t.match(result, { name, id: file.id, path_display: `/Shared/${name}`, sharing_info: { read_only: false } })
      t.equal(String((result as { fileBinary?: Uint8Array }).fileBinary), '0123456789', path)
      t.equal((headers as Headers).get('etag'), `W/"${rev}"`)
    }
    const part = await client.filesDownload({ path: file.id }, { extraHeaders: { Range: 'bytes=8-20' } })
    t.equal(part.status, 206)
    t.equal((part.headers as Headers).get('accept-ranges'), 'bytes')
    t.equal((part.headers as Headers).get('content-range'), 'bytes 8-9/10')
    fake.tree.write(file, 'new')
    const old = await client.filesDownload({ path: `rev:${rev}` })
    t.match(old.result, { rev, size: 10 })
    t.equal(String((old.result as { fileBinary?: Uint8Array }).fileBinary), '0123456789')
    t.equal((await client.filesGetMetadata({ path: file.id })).result['.tag'], 'file')
  })

  t.test('errors of files that cannot be downloaded', async (t) => {
    const { fake, client } = await startWithClient(t)
    fake.tree.addFolder({ name: 'folder' })
    fake.tree.addFile({ name: 'legal', lookupError: 'restricted_content' })
    const doc = fake.tree.addDocument({ name: 'notes.paper', exports: { html: '<p>ü', markdown: '# ü' } })
    fake.tree.addFile({ name: 'plain' })
    t.equal(await errorSummaryOf(client.filesDownload({ path: '/folder' })), 'path/not_file/')
    t.equal(await errorSummaryOf(client.filesDownload({ path: '/legal' })), 'path/restricted_content/')
    t.equal(await errorSummaryOf(client.filesDownload({ path: '/folder/' })), 'path/malformed_path/')
    t.equal(await errorSummaryOf(client.filesDownload({ path: 'id:short' })), 'path/malformed_path/')
    t.equal(await errorSummaryOf(client.filesDownload({ path: fake.tree.newId() })), 'path/not_found/')
    t.equal(await errorSummaryOf(client.filesDownload({ path: doc.id })), 'unsupported_file/')
    t.equal(await errorSummaryOf(client.filesGetTemporaryLink({ path: doc.id })), 'unsupported_file/')
    t.equal(await errorSummaryOf(client.filesExport({ path: '/plain' })), 'non_exportable/')
    t.equal(await errorSummaryOf(client.filesExport({ path: doc.id, export_format: 'pdf' })), 'invalid_export_format/')
    const { result } = await client.filesExport({ path: doc.id, export_format: 'markdown' })
    t.match(result, { export_metadata: { name: 'notes.markdown', size: 4 }, file_metadata: { id: doc.id } })
    t.equal(String((result as unknown as { fileBinary?: Uint8Array }).fileBinary), '# ü')
  })

  t.test('the user, until the token is revoked', async (t) => {
    const revoked: string[] = []
    const { fake, client } = await startWithClient(t, { onRevoke: (bearer) => revoked.push(bearer) })
    fake.tree.addFile({ name: 'a', content: 'abc' })
    const { result } = await client.usersGetCurrentAccount()
    t.match(result, { account_id: /^dbid:.{35}$/, email: 'me@example.com', root_info: { '.tag': 'user' } })
    t.equal(result.root_info.root_namespace_id, result.root_info.home_namespace_id)
    const { result: space } = await client.usersGetSpaceUsage()
    t.match(space, { used: 3, allocation: { '.tag': 'individual', allocated: fake.knobs.quotaBytes } })
    await client.authTokenRevoke()
    t.same(revoked, [FAKE_DROPBOX_TOKEN])
    t.match(await refusalOf(client.usersGetCurrentAccount()), {
      status: 401,
      error: { error: { '.tag': 'invalid_access_token' } }
    })
  })
})

t.test('the official client writes', async (t) => {
  t.test('a file in each mode', async (t) => {
    const { fake, client } = await startWithClient(t)
    const upload = async (contents: string, more: Partial<files.UploadArg> = {}) =>
      (await client.filesUpload({ path: `/new/${NAME.replace('\u007f', '')}`, contents, ...more })).result
    const one = await upload('one', { client_modified: '2020-01-02T03:04:05Z' })
    t.match(one, { size: 3, client_modified: '2020-01-02T03:04:05Z', content_hash: hashOf(Buffer.from('one')) })
    t.notOk('.tag' in one)
    t.equal(fake.tree.children()[0]?.name, 'new', 'with its parent folder')
    t.equal((await upload('one')).rev, one.rev, 'nothing changes')
    t.equal(await errorSummaryOf(upload('one', { strict_conflict: true })), 'path/conflict/file/')
    t.equal(await errorSummaryOf(upload('two')), 'path/conflict/file/')
    t.match(await upload('two', { autorename: true }), { name: / \(1\)\.txt$/ })
    const two = await upload('two', { mode: { '.tag': 'overwrite' } })
    t.match(two, { id: one.id, size: 3 })
    t.not(two.rev, one.rev)
    const update = (rev: string): files.WriteMode => ({ '.tag': 'update', update: rev })
    t.equal(await errorSummaryOf(upload('three', { mode: update(one.rev) })), 'path/conflict/file/')
    t.match(await upload('three', { mode: update(two.rev) }), { size: 5 })
    t.equal((await upload('byId', { path: two.id, mode: { '.tag': 'overwrite' } })).name, two.name)
    const folder = fake.tree.at('new')?.id ?? ''
    t.match(await upload('x', { path: `${folder}/In.txt` }), { path_display: '/new/In.txt' })
    const gone = update(one.rev)
    t.match(await upload('x', { path: '/gone', mode: gone }), { size: 1 }, 'a missing file is created')
    fake.tree.remove(fake.tree.at('gone')?.id ?? '')
    t.equal(
      await errorSummaryOf(upload('x', { path: '/gone', mode: gone, strict_conflict: true })),
      'path/conflict/file/'
    )
  })

  t.test('errors of forbidden paths', async (t) => {
    const { fake, client } = await startWithClient(t)
    fake.tree.addFile({ name: 'File', content: '0123456789' })
    fake.tree.addFolder({ name: 'Deep', parent: fake.tree.addFolder({ name: 'Read', readOnly: true }) })
    const put = (path: string, contents = 'x') => errorSummaryOf(client.filesUpload({ path, contents }))
    t.equal(await put('/read'), 'path/no_write_permission/')
    t.equal(await put('/read/deep/x'), 'path/no_write_permission/')
    t.equal(await put('/FILE/x'), 'path/conflict/file_ancestor/')
    for (const name of ['desktop.ini', '.DS_Store', '~$a.docx', '~a.tmp']) {
      t.equal(await put(`/${name}`), 'path/disallowed_name/', name)
    }
    for (const path of ['/a ', '/a/', '//a', '/a/../b', '/a\\b', '/a\u007f', `/${'x'.repeat(256)}`]) {
      t.equal(await put(path), 'path/malformed_path/', path)
    }
    fake.knobs.quotaBytes = 12
    const refusal = await refusalOf(client.filesUpload({ path: '/big', contents: 'xyz' }))
    t.match(refusal.error.error, {
      '.tag': 'path',
      reason: { '.tag': 'insufficient_space' },
      upload_session_id: /^pid_/
    })
    fake.knobs.quotaBytes = 100
    const cursor = { session_id: String(refusal.error.error?.['upload_session_id']), offset: 3 }
    t.equal(fake.uploads.open, 0)
    await client.filesUploadSessionFinish({ cursor, commit: { path: '/big' } })
    t.equal(String(fake.tree.read(fake.tree.at('big')?.id ?? '')), 'xyz')
  })

  t.test('folders, and deletes', async (t) => {
    const { fake, client } = await startWithClient(t)
    const { result } = await client.filesCreateFolderV2({ path: '/A/b' })
    t.match(result.metadata, { name: 'b', path_display: '/A/b', id: /^id:/ })
    const file = fake.tree.addFile({ name: 'c', parent: fake.tree.at('a')!, content: 'c' })
    t.equal(await errorSummaryOf(client.filesCreateFolderV2({ path: '/a/B' })), 'path/conflict/folder/')
    t.equal(await errorSummaryOf(client.filesCreateFolderV2({ path: '/a/C' })), 'path/conflict/file/')
    t.equal((await client.filesCreateFolderV2({ path: '/a/B', autorename: true })).result.metadata.name, 'B (1)')
    const { rev } = file
    fake.tree.write(file, 'other')
    const path = '/a/c'
    t.equal(await errorSummaryOf(client.filesDeleteV2({ path, parent_rev: rev })), 'path_write/conflict/file/')
    const deleted = await client.filesDeleteV2({ path: file.id, parent_rev: file.rev })
    t.match(deleted.result.metadata, { '.tag': 'file', id: file.id })
    t.equal(await errorSummaryOf(client.filesDeleteV2({ path })), 'path_lookup/not_found/')
    await client.filesDeleteV2({ path: '/a' })
    t.same(fake.tree.children(), [])
    const readonly = fake.tree.addFolder({ name: 'r', readOnly: true })
    t.equal(await errorSummaryOf(client.filesDeleteV2({ path: readonly.id })), 'path_write/no_write_permission/')
  })
})

t.test('an upload session', async (t) => {
  const CONTENT = Buffer.from('0123456789')
  const source = { size: CONTENT.length, read: async (at: number, length: number) => CONTENT.subarray(at, at + length) }
  const options = { chunkSize: 4, retryDelay: 1 }

  t.test('is resumed by the official client after lost responses', async (t) => {
    const { fake, client } = await startWithClient(t)
    Object.assign(fake.knobs, { lostAppendResponses: 1, lostFinishResponses: 1 })
    const { metadata } = await uploadFile(client, source, { path: '/a' }, options)
    t.equal(metadata.size, 10)
    t.equal(String(fake.tree.read(metadata.id)), String(CONTENT))
    const count = (name: string) => fake.requests.filter(({ path }) => path.endsWith(name)).length
    t.same([count('append_v2'), count('finish')], [3, 3])
    t.same([fake.knobs.lostAppendResponses, fake.knobs.lostFinishResponses, fake.uploads.open], [0, 0, 0])
    fake.knobs.lostUploadResponses = 1
    await t.rejects(client.filesUpload({ path: '/b', contents: 'b' }))
    t.ok(fake.tree.at('b'))
    const parallel = bytesUpload(new Uint8Array(2 * BLOCK + 5))
    const big = await uploadFile(client, parallel, { path: '/c' }, { chunkSize: BLOCK, parallelUploads: 2 })
    t.equal(big.metadata.size, 2 * BLOCK + 5)
  })

  t.test('reports its offset, and stores nothing before its end', async (t) => {
    let now = new Date('2026-01-01T00:00:00Z')
    const { fake, client } = await startWithClient(t, { now: () => now })
    const start = async () => (await client.filesUploadSessionStart({ contents: 'abc' })).result.session_id
    const session_id = await start()
    const append = (offset: number, contents: string, close = false) =>
      client.filesUploadSessionAppendV2({ cursor: { session_id, offset }, contents, close })
    const finish = (offset: number, contents: string, id = session_id, path = '/a') =>
      client.filesUploadSessionFinish({ cursor: { session_id: id, offset }, contents, commit: { path } })
    t.match((await refusalOf(append(0, 'def'))).error.error, { '.tag': 'incorrect_offset', correct_offset: 3 })
    t.equal((await append(3, 'def', true)).result, null)
    t.equal(await errorSummaryOf(append(6, 'g')), 'closed/')
    t.same([fake.tree.children(), fake.uploads.open], [[], 1])
    t.match((await refusalOf(finish(3, ''))).error, {
      error_summary: /^lookup_failed\/incorrect_offset\/\.{0,3}$/,
      error: { '.tag': 'lookup_failed', lookup_failed: { '.tag': 'incorrect_offset', correct_offset: 6 } }
    })
    fake.tree.addFile({ name: 'taken', content: 'x' })
    t.equal(await errorSummaryOf(finish(6, '', session_id, '/taken')), 'path/conflict/file/')
    t.match((await finish(6, '')).result, { name: 'a', size: 6 })
    t.equal(fake.uploads.open, 0)
    fake.knobs.keepsFinishedSessions = false
    await finish(6, '')
    t.equal(await errorSummaryOf(finish(6, '')), 'lookup_failed/not_found/')
    const old = await start()
    now = new Date('2026-01-08T00:00:00Z')
    t.equal(await errorSummaryOf(finish(3, '', old)), 'lookup_failed/not_found/', 'after seven days')
    const other = await start()
    fake.expireUploadSessions()
    t.equal(await errorSummaryOf(finish(3, '', other)), 'lookup_failed/not_found/')
  })

  t.test('accepts pieces in any order if it was begun as concurrent', async (t) => {
    const { fake, client } = await startWithClient(t)
    const begun = await client.filesUploadSessionStart({ session_type: { '.tag': 'concurrent' } })
    const { session_id } = begun.result
    const block = 'x'.repeat(BLOCK)
    const append = (offset: number, contents: string, close = false) =>
      client.filesUploadSessionAppendV2({ cursor: { session_id, offset }, contents, close })
    const finish = (contents = '') => {
      const cursor = { session_id, offset: 2 * BLOCK + 1 }
      return client.filesUploadSessionFinish({ cursor, contents, commit: { path: '/a' } })
    }
    t.equal(await errorSummaryOf(append(1, block)), 'concurrent_session_invalid_offset/')
    t.equal(await errorSummaryOf(append(0, 'abc')), 'concurrent_session_invalid_data_size/')
    await append(BLOCK, block)
    t.equal(await errorSummaryOf(finish()), 'concurrent_session_not_closed/')
    await append(2 * BLOCK, 'y', true)
    t.equal(await errorSummaryOf(finish()), 'concurrent_session_missing_data/')
    t.equal(await errorSummaryOf(finish('z')), 'concurrent_session_data_not_allowed/')
    t.equal(await errorSummaryOf(append(0, block)), 'closed/')
    t.same(fake.tree.children(), [])
  })
})

t.test('a team has a namespace around those of its members', async (t) => {
  const { fake, client } = await startWithClient(t, { team: true })
  const team = fake.tree.addTeamFolder({ name: 'Team' })
  fake.tree.addFile({ name: 'ours', parent: team })
  fake.tree.addFile({ name: 'mine' })
  const info = async () => (await client.usersGetCurrentAccount()).result.root_info
  const { root_namespace_id: root, home_namespace_id: home } = await info()
  t.match(await info(), { '.tag': 'team', home_path: '/Me' })
  t.not(root, home)
  t.same((await listAll(client, { path: '' })).names, ['mine'])
  const inRoot = clientFor(fake, { '.tag': 'root', root })
  t.same((await listAll(inRoot, { path: '' })).names.sort(), ['Me', 'Team'])
  t.match((await inRoot.filesGetMetadata({ path: '/me/MINE' })).result, { path_display: '/Me/mine' })
  t.match((await inRoot.filesGetMetadata({ path: '/team' })).result, { shared_folder_id: team.namespaceId })
  t.equal(await errorSummaryOf(inRoot.filesDeleteV2({ path: '/team' })), 'path_write/team_folder/')
  const inTeam = clientFor(fake, { '.tag': 'namespace_id', namespace_id: team.namespaceId })
  t.same((await listAll(inTeam, { path: '' })).names, ['ours'])
  t.same((await listAll(clientFor(fake, { '.tag': 'home' }), { path: '' })).names, ['mine'])
  t.equal(await errorSummaryOf(client.filesGetMetadata({ path: team.id })), 'path/not_found/', 'outside of the home')
  const elsewhere = clientFor(fake, { '.tag': 'namespace_id', namespace_id: '1' })
  t.match(await refusalOf(elsewhere.filesListFolder({ path: '' })), {
    status: 422,
    error: { error: { '.tag': 'no_permission' } }
  })
  const { last: cursor } = await listAll(client, { path: '' })
  await refusalOf(inRoot.filesListFolderContinue({ cursor }))
  t.same(takeMistakes(fake), ['the cursor of another user or of another path root'])
  fake.moveRoot()
  const moved = await refusalOf(inRoot.filesListFolder({ path: '' }))
  t.match(moved, { status: 422, error: { error: { '.tag': 'invalid_root', invalid_root: await info() } } })
  t.not((await info()).root_namespace_id, root)
  fake.knobs.rootTag = 'user'
  t.match(await info(), { '.tag': 'user', home_path: '/Me' })
  t.match((await client.usersGetSpaceUsage()).result.allocation, { '.tag': 'team' })
})

t.test('a temporary link serves the file until it expires', async (t) => {
  let now = new Date('2026-01-01T00:00:00Z')
  const { fake, client } = await startWithClient(t, { now: () => now })
  const { id } = fake.tree.addFile({ name: `a'${NAME}`, content: '0123456789' })
  const { link, metadata } = (await client.filesGetTemporaryLink({ path: id })).result
  t.equal(metadata.id, id)
  t.not(new URL(link).origin, fake.contentUrl)
  const answer = await sendRequest(link)
  t.match(answer, { status: 200, text: '0123456789', headers: { 'content-type': 'text/plain; charset=utf-8' } })
  const disposition = String(answer.headers['content-disposition'])
  t.match(disposition, /^attachment; filename="a'_n_ _q_ [ -~]+"; filename\*=UTF-8''a%27%C3%9C/)
  t.match(await sendRequest(link, { headers: { range: 'bytes=-2' } }), { status: 206, text: '89' })
  await sendRequest(link, { headers: { authorization: `Bearer ${FAKE_DROPBOX_TOKEN}` } })
  await sendRequest(link, { method: 'POST' })
  await sendRequest(`${link}x`)
  t.same(takeMistakes(fake), ['a token for a temporary link', 'the method POST', 'a link that was never given'])
  fake.resetDownloads(1, 4)
  await t.rejects(sendRequest(link))
  now = new Date('2026-01-01T03:59:59Z')
  t.equal((await sendRequest(link)).status, 200)
  now = new Date('2026-01-01T04:00:00Z')
  t.equal((await sendRequest(link)).status, 410)
})

t.test('an invalid request is 400 with a text, and recorded', async (t) => {
  const { fake, rpc, content, send } = await startFakeDropbox(t)
  const { id } = fake.tree.addFile({ name: 'a', content: 'abc' })
  const list = (arg: object, headers?: RequestOptions['headers']) => rpc('files/list_folder', arg, headers)
  const arg = (headers: RequestOptions['headers'], path = id) => content('files/download', { path }, undefined, headers)
  const where = 'HTTP header "Dropbox-API-Arg"'
  const root = 'Specify the root folder as an empty string rather than as "/".'
  const mistakes: [string | RegExp, () => ReturnType<typeof send>][] = [
    [`request body: path: ${root}`, () => list({ path: '/' })],
    ['request body: path: The root folder is unsupported.', () => rpc('files/get_metadata', { path: '' })],
    [/^request body: path: 'x' did not match pattern/, () => list({ path: 'x' })],
    [/^request body: path: 'rev:0123456789' did not/, () => list({ path: 'rev:0123456789' })],
    [/^request body: path: 'id:x' did not/, () => rpc('files/create_folder_v2', { path: 'id:x' })],
    ["request body: missing required field 'path'", () => list({})],
    ["request body: unknown field 'size'", () => list({ path: '', size: 3 })],
    ['request body: limit: 2001 is not within [1, 2000]', () => list({ path: '', limit: 2001 })],
    ['request body: recursive: expected to be a boolean, got string', () => list({ path: '', recursive: 'true' })],
    ['request body: path: expected to be a string, got null', () => list({ path: null })],
    ['request body: path: no valid Unicode', () => list({ path: '/\ud800' })],
    ['Invalid "cursor" parameter', () => rpc('files/list_folder/continue', { cursor: 'made-up' })],
    ['request body: expected null', () => rpc('users/get_current_account', {})],
    ['Bad HTTP "Content-Type" header: "text/plain".', () => list({ path: '' }, { 'content-type': 'text/plain' })],
    ['the header dropbox-api-arg', () => list({ path: '' }, { 'dropbox-api-arg': '{}' })],
    ['the header dropbox-api-select-user', () => list({ path: '' }, { 'dropbox-api-select-user': 'dbmid:x' })],
    ['the header range', () => list({ path: '' }, { range: 'bytes=0-1' })],
    ['the header if-range', () => arg({ 'if-range': '"x"' })],
    ['a query', () => send(`${fake.contentUrl}/2/files/download?arg=%7B%7D`, {})],
    ['the method GET', () => send(`${fake.contentUrl}/2/files/download`, { method: 'GET' })],
    ['the host api', () => send(`${fake.url}/2/files/download`, {})],
    ['Unknown API function', () => rpc('files/copy_v2', {})],
    [`Must provide ${where}`, () => send(`${fake.contentUrl}/2/files/download`, {})],
    [`${where}: could not decode input as JSON`, () => arg({ 'dropbox-api-arg': '{path:"/a"}' })],
    [`${where}: a character that is not escaped`, () => arg({ 'dropbox-api-arg': '{"path":"/\u00e4"}' })],
    ['Bad HTTP "Content-Type" header: "application/json".', () => arg({ 'content-type': 'application/json' })],
    ['a body', () => content('files/download', { path: id }, 'abc')],
    ['Bad HTTP "Content-Type" header: "".', () => content('files/upload', { path: '/b' })],
    [`${where}: mode: unknown tag 'replace'`, () => content('files/upload', { path: '/b', mode: 'replace' }, 'b')],
    [`${where}: mode: 'update' needs a value`, () => content('files/upload', { path: '/b', mode: 'update' }, 'b')],
    [/client_modified: .* did not match/, () => content('files/upload', { path: '/b', client_modified: 'now' }, 'b')],
    [/Path-Root": could not decode/, () => list({ path: '' }, { 'dropbox-api-path-root': 'home' })],
    [/Path-Root": unknown tag 'team'/, () => list({ path: '' }, { 'dropbox-api-path-root': '{".tag":"team"}' })]
  ]
  for (const [what, act] of mistakes) {
    const answer = await act()
    t.match(answer, { status: 400, headers: { 'content-type': 'text/plain; charset=utf-8' } }, String(what))
    const [mistake, ...more] = fake.mistakes.splice(0)
    const said = mistake?.replace(/^POST \S+: |^GET \S+: /, '')
    if (typeof what === 'string') t.equal(said, what)
    else t.match(said, what)
    t.same(more, [])
  }
  fake.knobs.callLimitBytes = 2
  t.match(await content('files/upload', { path: '/b' }, 'abc'), { status: 409, summary: 'payload_too_large/' })
  t.same(takeMistakes(fake), ['more than 150 MiB'])
  t.equal(fake.tree.children().length, 1)
})

t.test('short forms, headers and hashes are supported', async (t) => {
  const { fake, rpc, content } = await startFakeDropbox(t)
  const { id } = fake.tree.addFile({ name: NAME, content: 'abc' })
  const result = String((await content('files/download', { path: id })).headers['dropbox-api-result'])
  t.notMatch(result, /[^\x20-\x7e]/)
  t.equal((JSON.parse(result) as files.FileMetadata).name, NAME)
  t.equal((await content('files/download', { path: id }, undefined, { range: 'bytes=3-' })).status, 416)
  t.match(await rpc('users/get_current_account', null), { status: 200, json: { email: 'me@example.com' } })
  t.equal((await content('files/upload', { path: '/b', mode: 'overwrite' }, 'b')).status, 200)
  const wrong = { path: '/c', content_hash: 'a'.repeat(64) }
  t.match(await content('files/upload', wrong, 'c'), { status: 409, summary: 'content_hash_mismatch/' })
  t.equal((await content('files/upload', { ...wrong, content_hash: hashOf(Buffer.from('c')) }, 'c')).status, 200)
  fake.tree.addFile({ name: 'shared with me', unmounted: true })
  const { json } = await rpc('files/list_folder', { path: '' })
  const unmounted = (json['entries'] as files.FileMetadata[]).find(({ name }) => name === 'shared with me')
  t.notOk('path_lower' in (unmounted ?? { path_lower: '' }))
  fake.resetDownloads(1, 1)
  await t.rejects(content('files/download', { path: id }))
  t.equal(fake.busy(), 0)
  t.throws(() => fake.tree.addFile({ name: 'B' }), 'names that differ by more than case')
})

t.test('a token', async (t) => {
  const one = { '.tag': 'missing_scope', required_scope: '' }
  const cases: [string, (call: Awaited<ReturnType<typeof startFakeDropbox>>) => ReturnType<typeof call.rpc>][] = [
    ['account_info.read', ({ rpc }) => rpc('users/get_current_account', null)],
    ['files.metadata.read', ({ rpc }) => rpc('files/list_folder', { path: '' })],
    ['files.content.read', ({ content }) => content('files/download', { path: '/a' })],
    ['files.content.read', ({ rpc }) => rpc('files/get_temporary_link', { path: '/a' })],
    ['files.content.write', ({ rpc }) => rpc('files/create_folder_v2', { path: '/a' })],
    ['files.content.write', ({ content }) => content('files/upload', { path: '/a' }, 'a')]
  ]
  for (const [scope, act] of cases) {
    const others = EVERY_SCOPE.filter((other) => other !== scope)
    const call = await startFakeDropbox(t, { authorize: () => ({ user: 'eve', scopes: others }) })
    t.match(await act(call), { status: 401, error: { ...one, required_scope: scope }, summary: 'missing_scope/' })
  }
  const { fake, rpc } = await startFakeDropbox(t)
  const list = (headers: RequestOptions['headers']) => rpc('files/list_folder', { path: '' }, headers)
  for (const tag of ['expired_access_token', 'user_suspended'] as const) {
    fake.knobs.invalidTokenError = tag
    t.match(await list({ authorization: 'Bearer other' }), { status: 401, error: { '.tag': tag } })
  }
  t.match(await list({ authorization: 'Basic x' }), { status: 400, text: /Invalid authorization value/ })
  fake.tokens.clear()
  t.equal((await list({})).status, 401)
})

t.test('a test can script faults', async (t) => {
  const { fake, client } = await startWithClient(t)
  const list = () => refusalOf(client.filesListFolder({ path: '' }))
  fake.failNext(1, rateLimited(7))
  const limited = await list()
  t.equal((limited.headers as Headers).get('retry-after'), '7')
  const reason = { '.tag': 'too_many_requests' }
  t.match(limited, { status: 429, error: { error_summary: /^too_many_requests\//, error: { reason, retry_after: 7 } } })
  fake.failNext(1, authError('expired_access_token'))
  t.match(await list(), { status: 401, error: { error: { '.tag': 'expired_access_token' } } })
  fake.failNext(1, accessError({ '.tag': 'team_access_denied' }))
  t.match(await list(), { status: 403, error: { error_summary: /^team_access_denied\// } })
  fake.failNext(1, endpointError({ '.tag': 'path', path: { '.tag': 'locked' } }), { path: '/2/files/list_folder' })
  t.equal((await client.usersGetCurrentAccount()).status, 200)
  t.match(await list(), { status: 409, error: { error_summary: /^path\/locked\// } })
  fake.failNext(1, { status: 500, error: 'Internal Server Error' })
  t.match(await list(), { status: 500, error: 'Internal Server Error' })
  fake.failNext(1, resets(), { host: 'content' })
  await t.rejects(client.filesUpload({ path: '/a', contents: 'a' }))
  t.notOk(fake.tree.at('a'))
  const dots = new Set<string>()
  for (let times = 0; times < 40; times++) {
    const { error } = await refusalOf(client.filesGetMetadata({ path: '/missing' }))
    dots.add(error.error_summary?.replace('path/not_found/', '') ?? 'none')
  }
  t.ok(dots.size > 1 && [...dots].every((end) => /^\.{0,3}$/.test(end)))
})
