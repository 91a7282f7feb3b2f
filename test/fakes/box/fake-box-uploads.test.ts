import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { takeMistakes } from '../../support/dav/requests.ts'
import { startFakeBox, JSON_POST } from './client.ts'
import { BOX_WRITE_SCOPE, type FakeBoxOptions } from './fake-box.ts'

t.test('an upload in one request', async (t) => {
  const uploading = async (t: Test) => {
    const setup = await startFakeBox(t)
    const post = async (
      parts: readonly string[],
      headers: Record<string, string> = {},
      path = '/api/2.0/files/content'
    ) => {
      const body = `--b${parts.map((part) => `\r\nContent-Disposition: form-data; ${part}\r\n--b`).join('')}--\r\n`
      return setup.send(
        path,
        {},
        { method: 'POST', body, headers: { 'content-type': 'multipart/form-data; boundary=b', ...headers } }
      )
    }
    const attributes = (said: object) => `name="attributes"\r\n\r\n${JSON.stringify(said)}`
    const file = (content: string) => `name="file"; filename="x"\r\nContent-Type: text/plain\r\n\r\n${content}`
    const named = (name: string) => post([attributes({ name, parent: { id: '0' } }), file('abc')])
    return { ...setup, post, attributes, file, named }
  }

  t.test('has its attributes first, and may have a digest', async (t) => {
    const { fake, tree, post, attributes, file } = await uploading(t)
    const said = attributes({ name: 'a', parent: { id: '0' }, content_modified_at: '2024-05-06T07:08:09Z' })
    t.match(await post([file('abc'), said]), { status: 400, code: 'metadata_after_file_contents' })
    t.same(takeMistakes(fake), ['attributes after the file'])
    t.match(await post([said, file('abc')], { 'content-md5': 'a'.repeat(40) }), { status: 400, code: 'bad_digest' })
    const sha1 = createHash('sha1').update('abc').digest('hex')
    const { status, json } = await post([said, file('abc')], { 'content-md5': sha1 })
    t.equal(status, 201)
    t.match(json, { total_count: 1, entries: [{ content_modified_at: '2024-05-05T23:08:09-08:00', sha1 }] })
    const version = await post([file('new')], {}, `/api/2.0/files/${json.entries?.[0]?.id ?? ''}/content`)
    t.match(version, { status: 200, json: { entries: [{ etag: '1', size: 3 }] } })
    t.same(
      tree.children().map((node) => String(node.content)),
      ['new']
    )
    t.equal((await post([file('abc')])).status, 400)
    t.same(takeMistakes(fake), ['no attributes'])
  })

  t.test('has a name that Box accepts and that is not taken', async (t) => {
    const { tree, named } = await uploading(t)
    tree.addFolder({ name: 'Taken' })
    for (const name of ['', '.', '..', 'a/b', 'a\\b', 'a ', ' a', 'a\u0001']) {
      t.match(await named(name), { status: 400, code: 'item_name_invalid' }, name)
    }
    t.match(await named('a'.repeat(256)), { status: 400, code: 'item_name_too_long' })
    t.match(await named('taken'), { status: 409, json: { context_info: { conflicts: { type: 'folder' } } } })
    for (const name of ['a'.repeat(255), '.a', 'ä#%?+😀:*']) t.equal((await named(name)).status, 201, name)
  })

  t.test('requires the folder, the permission and the space', async (t) => {
    const { fake, tree, named, post, attributes, file, send } = await uploading(t)
    const denied = tree.addFolder({ name: 'd', permissions: { can_upload: false } })
    const to = (id: string) => post([attributes({ name: 'x', parent: { id } }), file('abc')])
    t.match(await to(denied.id), { status: 403, code: 'access_denied_insufficient_permissions' })
    t.match(await to(tree.newId()), { status: 404, code: 'not_found' })
    fake.knobs.maxUploadBytes = 2
    t.match(await named('a'), { status: 403, code: 'file_size_limit_exceeded' })
    fake.knobs.maxUploadBytes = 3
    fake.knobs.quotaBytes = 2
    t.match(await named('a'), { status: 403, code: 'storage_limit_exceeded' })
    const check = { method: 'OPTIONS', headers: { 'content-type': 'application/json' } }
    const body = JSON.stringify({ name: 'a', parent: { id: '0' }, size: 3 })
    t.match(await send('/2.0/files/content', {}, { ...check, body }), { status: 403, code: 'storage_limit_exceeded' })
    t.equal((await send('/2.0/files/content', {}, { ...check, body: body.replace('3', '2') })).status, 200)
  })

  t.test('may use the URL from the preflight check', async (t) => {
    const { fake, tree, post, file, send } = await uploading(t)
    const { id } = tree.addFile({ name: 'a' })
    const check = { method: 'OPTIONS', headers: { 'content-type': 'application/json' }, body: '{"size":3}' }
    const { json } = await send(`/2.0/files/${id}/content`, {}, check)
    const url = String(json.upload_url)
    t.ok(url.startsWith(`${fake.uploadUrl}/api/2.0/files/${id}/content?upload_session_id=`))
    t.equal((await post([file('abc')], {}, url)).status, 200)
    t.equal((await post([file('abc')], {}, `${url}0`)).status, 400)
    t.same(takeMistakes(fake), ['an upload URL that was changed'])
  })
})

t.test('an upload session', async (t) => {
  const uploading = async (t: Test, options?: FakeBoxOptions) => {
    const setup = await startFakeBox(t, options)
    Object.assign(setup.fake.knobs, { minSessionBytes: 0, partSize: 4 })
    const begin = async (said: object = { folder_id: '0', file_name: 'up', file_size: 10 }, id = '') => {
      const path = `/api/2.0/files/${id === '' ? '' : `${id}/`}upload_sessions`
      const answer = await setup.send(path, {}, { ...JSON_POST, body: JSON.stringify(said) })
      return { ...answer, urls: answer.json.session_endpoints ?? {} }
    }
    const put = (url: string, range: string, body: string, digest = sha1(body), more: Record<string, string> = {}) => {
      const type = { 'content-type': 'application/octet-stream' }
      const headers = { ...type, 'content-range': `bytes ${range}`, digest: `sha=${digest}`, ...more }
      return setup.send(url, {}, { method: 'PUT', headers, body })
    }
    const parts = async (urls: Readonly<Record<string, string>>) => {
      const url = String(urls['upload_part'])
      const all = [await put(url, '8-9/10', '89'), await put(url, '0-3/10', '0123'), await put(url, '4-7/10', '4567')]
      return [1, 2, 0].map((index) => all[index]?.json.part)
    }
    const commit = (url = '', body: unknown = {}, digest = sha1('0123456789'), more: Record<string, string> = {}) => {
      const headers = { ...JSON_POST.headers, digest: `sha=${digest}`, ...more }
      return setup.send(url, {}, { method: 'POST', headers, body: JSON.stringify(body) })
    }
    return { ...setup, begin, put, parts, commit }
  }

  t.test('accepts its parts in any order, each once, and requires all of them', async (t) => {
    const { fake, tree, send, begin, put, parts, commit } = await uploading(t)
    const { urls, status } = await begin()
    t.equal(status, 201)
    const url = String(urls['upload_part'])
    const body = { parts: await parts(urls) }
    const again = await put(url, '0-3/10', '0123')
    t.match(again, { status: 409, code: 'range_overlaps_existing_part' })
    t.same(again.json.context_info?.conflicting_part, body.parts[0])
    fake.knobs.overlapStatus = 416
    t.equal((await put(url, '0-3/10', '0123')).status, 416)
    t.same((await send(String(urls['list_parts']))).json.entries, body.parts)
    t.match((await send(String(urls['status']))).json, { num_parts_processed: 3, total_parts: 3 })
    t.match(await commit(urls['commit'], { parts: body.parts.slice(1) }), { status: 400, code: 'parts_mismatch' })
    t.match(await commit(urls['commit'], body, sha1('x')), { status: 400, code: 'digest_mismatch' })
    const attributes = { content_modified_at: '2024-05-06T07:08:09+02:00' }
    const { status: done, json } = await commit(urls['commit'], { ...body, attributes })
    t.match([done, json], [201, { entries: [{ size: 10, content_modified_at: '2024-05-05T21:08:09-08:00' }] }])
    t.equal(String(tree.read(json.entries?.[0]?.id ?? '')), '0123456789')
    t.match(await commit(urls['commit'], body), { status: 404, code: 'not_found' })
    t.equal(fake.uploads.open, 0)
  })

  t.test('accepts only parts of the expected length', async (t) => {
    const { fake, begin, put } = await uploading(t)
    const { urls } = await begin()
    const url = String(urls['upload_part'])
    for (const [range, body] of [
      ['0-2/10', '012'],
      ['2-5/10', '2345'],
      ['0-3/11', '0123'],
      ['0-3/10', '012'],
      ['0-3', '0123'],
      ['8-11/10', '89ab'],
      ['12-13/10', 'cd']
    ] as const) {
      t.equal((await put(url, range, body)).status, 416, range)
      t.same(takeMistakes(fake), [`the range bytes ${range} for ${body.length} bytes`])
    }
    t.match(await put(url, '0-3/10', '0123', sha1('x')), { status: 412, code: 'digest_mismatch' })
    t.equal((await put(url, '0-3/10', '0123', 'x')).status, 400)
    t.same(takeMistakes(fake), ['the digest sha=x'])
    t.equal((await put(url, '0-3/10', '0123', sha1('0123'), { 'content-type': 'text/plain' })).status, 400)
    t.same(takeMistakes(fake), ['a part of the content type text/plain'])
  })

  t.test('is assembled for a while, loses responses, and lists its last part late', async (t) => {
    const { fake, tree, begin, put, parts, commit } = await uploading(t)
    const { urls } = await begin()
    fake.knobs.lostParts = 1
    await t.rejects(put(String(urls['upload_part']), '4-7/10', '4567'))
    t.equal((await put(String(urls['upload_part']), '4-7/10', '4567')).status, 409, 'the part is stored')
    const { urls: next } = await begin()
    const body = { parts: await parts(next) }
    Object.assign(fake.knobs, { incompleteCommits: 1, pendingCommits: 1, retryAfter: 5, lostCommits: 1 })
    t.match(await commit(next['commit'], body), { status: 400, code: 'parts_mismatch' })
    t.match(await commit(next['commit'], body), { status: 202, text: '', headers: { 'retry-after': '5' } })
    t.same(tree.children(), [])
    await t.rejects(commit(next['commit'], body))
    t.same(
      tree.children().map(({ name }) => name),
      ['up']
    )
  })

  t.test('replaces a file that has not changed', async (t) => {
    const { fake, tree, begin, parts, commit } = await uploading(t)
    const file = tree.addFile({ name: 'old', content: 'old' })
    const { urls } = await begin({ file_size: 10 }, file.id)
    const body = { parts: await parts(urls) }
    const digest = sha1('0123456789')
    t.match(await commit(urls['commit'], body, digest, { 'if-match': '1' }), { status: 412 })
    t.match(await commit(urls['commit'], body, digest, { 'if-match': '0' }), { status: 201 })
    t.match([String(file.content), file.etag], ['0123456789', 1])
    const { urls: other } = await begin()
    const more = { parts: await parts(other) }
    t.equal((await commit(other['commit'], more, digest, { 'if-match': '0' })).status, 400)
    t.same(takeMistakes(fake), ['an etag for a new file'])
    tree.addFile({ name: 'UP' })
    t.match(await commit(other['commit'], more), { status: 409, code: 'item_name_in_use' })
  })

  t.test('is refused at its begin if it cannot succeed, and expires', async (t) => {
    const authorize = (user: string) => ({ user, scopes: [BOX_WRITE_SCOPE] })
    const { fake, tree, send, begin } = await uploading(t, { authorize })
    const said = { folder_id: '0', file_name: 'up', file_size: 10 }
    tree.addFile({ name: 'taken' })
    t.match(await begin({ ...said, file_name: 'taken' }), { status: 409, code: 'item_name_in_use' })
    t.match(await begin({ ...said, folder_id: tree.newId() }), { status: 404, code: 'not_found' })
    t.match(await begin({ file_size: 10 }, tree.newId()), { status: 404, code: 'not_found' })
    fake.knobs.quotaBytes = 9
    t.match(await begin(said), { status: 403, code: 'storage_limit_exceeded' })
    fake.knobs.quotaBytes = undefined
    fake.knobs.minSessionBytes = 20_000_000
    t.match(await begin({ ...said, file_size: 19_999_999 }), { status: 400, code: 'file_size_too_small' })
    const { urls } = await begin({ ...said, file_size: 20_000_000 })
    const url = String(urls['abort'])
    t.match(await send(url, {}, { headers: { authorization: 'Bearer other' } }), { status: 403, code: 'forbidden' })
    t.equal((await send(url, {}, { method: 'DELETE' })).status, 204)
    t.match(await send(url), { status: 404, code: 'not_found' })
    const later = await begin({ ...said, file_size: 20_000_000 })
    t.equal(fake.uploads.open, 1)
    fake.expireUploadSessions()
    t.match(await send(String(later.urls['status'])), { status: 410, code: 'session_expired' })
    t.equal(fake.uploads.open, 0)
  })
})

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('base64')
}
