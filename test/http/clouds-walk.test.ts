import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import type { Listing } from '../../src/core/entry.ts'
import type { UploadCall, UploadTarget } from '../../src/core/backend.ts'
import { callOptions, rejectsWith, requireMethod } from '../contract/suite/arrange.ts'
import { chunkedStream } from '../contract/suite/uploads.ts'
import { startCloudApp, namesOf, CLOUD_PUBLIC_URL, cloudRedirectUri } from '../support/app/cloud-app.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET, FAKE_OAUTH_USER } from '../fakes/oauth/rules.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import { digest, readBody } from '../support/app/read-body.ts'
import { until } from '../support/time/until.ts'
import { REST_CLOUDS } from '../support/app/rest-clouds.ts'
import type { PageFault } from '../fakes/pages.ts'

const COUNT = 5_000
const LIMIT = 200
/** In an order that no provider uses. */
const NAMES = Array.from({ length: COUNT }, (_, index) => `${(index * 7919) % COUNT} of them.txt`)

for (const { id: cloudId, rules, scopes, start } of REST_CLOUDS) {
  t.test(`the life of a connection at ${cloudId}, from the consent to its end`, async (t) => {
    const oauth = await FakeOAuth.start(t, {
      redirectUris: [cloudRedirectUri(cloudId)],
      ...(scopes !== undefined && { scopes }),
      ...rules
    })
    const cloud = await start(t, oauth)
    cloud.seed('many', new Map(NAMES.map((name) => [name, `content of ${name}`])))
    const walk = await startCloudApp(t, {
      provider: cloud.provider,
      registration: {
        clientId: FAKE_CLIENT_ID,
        clientSecret: FAKE_CLIENT_SECRET,
        ...(scopes !== undefined && { scopes })
      },
      origins: cloud.origins,
      consent: (url) => oauth.consent(url)
    })
    const refusals = () =>
      cloud.requests.filter(({ headers, isAuthorized }) => headers['authorization'] && !isAuthorized)

    // The user connects.
    t.match(await walk.connect(), { status: 303, location: `${CLOUD_PUBLIC_URL}/`, body: '' })
    const [connection, ...others] = await walk.connections()
    t.match(connection, { provider: cloudId, status: 'ACTIVE' })
    t.same(others, [])
    const id = connection?.id ?? ''
    t.same(new Set((await walk.row(id)).scopes), new Set(scopes ?? rules.defaultScopes))

    // Lists, and pages through a large folder.
    const root = await walk.list()
    t.same(namesOf(root), ['many'])
    const [many] = (root.json() as Listing).entries
    const folder = many?.id ?? ''
    const before = cloud.requests.length
    const listed: string[] = []
    let cursor: string | null = null
    let pages = 0
    do {
      const answer = await walk.list({ folder, limit: String(LIMIT), ...(cursor !== null && { cursor }) })
      t.equal(answer.status, 200, answer.status === 200 ? 'a page' : answer.body)
      const { page } = answer.json() as Listing
      listed.push(...namesOf(answer))
      cursor = page.next
      pages += 1
      t.equal(page.complete, cursor === null)
    } while (cursor !== null && pages <= COUNT)
    t.equal(listed.length, COUNT)
    t.same(new Set(listed), new Set(NAMES), 'each file is listed once')
    t.equal(pages, COUNT / LIMIT)
    // Others request the number of files once, and Dropbox the state before the first page and that page again.
    const otherCalls = cloudId === 'dropbox' ? 2 : 1
    t.ok(cloud.requests.length - before <= pages + otherCalls, 'one call per page, and few others')

    // Reads a part of a file.
    const [some] = (await walk.list({ folder, limit: String(LIMIT) }).then((answer) => answer.json() as Listing))
      .entries
    const backend = await walk.backend()
    const part = await backend.download(some?.id ?? '', { ...callOptions(), range: { start: 8, end: 11 } })
    t.equal((await readBody(part.body)).toString(), `content of ${some?.name}`.slice(8, 12))
    t.match(part.range, { start: 8, end: 11 })
    t.match(await walk.download(some?.id ?? ''), { status: 200, body: `content of ${some?.name}` })

    // Uploads 20 MB from a stream of unknown length.
    const upload = (target: UploadTarget, content: Buffer, options: Partial<UploadCall> = {}) =>
      requireMethod(backend.upload?.bind(backend))(target, chunkedStream(content), { ...callOptions(), ...options })
    const content = randomBytes(20_000_000)
    const stored = await upload({ parentId: null, name: 'large.bin' }, content)
    t.match(stored, { name: 'large.bin', size: content.length, kind: 'file' })
    t.ok(cloud.read('large.bin')?.equals(content), 'the upload is unchanged')
    const { body } = await backend.download(stored.id, callOptions())
    t.equal(await digest(body), createHash('sha256').update(content).digest('hex'), 'the download is unchanged')

    // A create-only upload does not overwrite an existing file.
    const small = Buffer.from('small')
    const again = upload({ parentId: null, name: 'large.bin' }, small, { ifNoneMatch: '*' })
    await rejectsWith(t, again, 'ALREADY_EXISTS')
    const replaced = await upload({ id: stored.id }, small, { ifMatch: stored.version ?? '' })
    t.not(replaced.version, stored.version)
    const late = upload({ id: stored.id }, randomBytes(10), { ifMatch: stored.version ?? '' })
    await rejectsWith(t, late, 'PRECONDITION_FAILED')
    t.equal(cloud.read('large.bin')?.toString(), 'small')

    await requireMethod(backend.remove?.bind(backend))(stored.id, callOptions())
    t.equal(cloud.read('large.bin'), undefined)
    t.same(namesOf(await walk.list({ refresh: 'true' })), ['many'])

    // The access token expires: early, noticed by a 401.
    t.equal(oauth.tokenCalls('refresh_token'), 0)
    oauth.expireAccessTokens()
    await walk.expireAccessToken(id)
    t.equal((await walk.list({ refresh: 'true' })).status, 200)
    t.equal(oauth.tokenCalls('refresh_token'), 1)
    t.equal(refusals().length, 0, 'the old token is not used')
    oauth.expireAccessTokens()
    t.equal((await walk.list({ refresh: 'true' })).status, 200)
    t.equal(oauth.tokenCalls('refresh_token'), 2)
    t.equal(refusals().length, 1)

    // The user removes the application, and connects again.
    oauth.revokeGrant(FAKE_OAUTH_USER.id)
    const ended = await walk.list({ refresh: 'true' })
    t.equal(ended.status, 503)
    t.match(ended.json(), { code: 'CONNECTION_INACTIVE' })
    t.equal((await walk.row(id)).status, 'REQUIRES_REAUTH')
    t.match(await walk.connect(), { status: 303, location: `${CLOUD_PUBLIC_URL}/` })
    t.match(await walk.connections(), [{ id, status: 'ACTIVE' }])

    // The provider throttles: it is not called until the Retry-After has passed.
    cloud.throttle(30)
    const calls = cloud.requests.length
    for (let turn = 0; turn < 2; turn++) {
      const throttled = await walk.list({ refresh: 'true' })
      t.equal(throttled.status, 503)
      t.match(throttled.json(), { code: 'PROVIDER_THROTTLED' })
    }
    const asked = cloud.requests.slice(calls).filter(({ path }) => /children$|list_folder|items$/.test(path))
    t.equal(asked.length, 1)

    // The user disconnects.
    t.equal((await walk.disconnect(id)).status, 204)
    await until(() => cloud.isRevoked())
    t.same(await walk.connections(), [])
    t.equal((await walk.list()).status, 503)
    t.same(
      walk.events.map(({ type, provider }) => [type, provider]),
      ['connected', 'requiresReauth', 'renewed', 'disconnected'].map((type) => [type, cloudId])
    )
    const secrets = [
      FAKE_CLIENT_SECRET,
      ...oauth.grants.flatMap(({ accessToken, refreshToken = '' }) => [accessToken, refreshToken]),
      ...oauth.calls.token.flatMap(({ params }) => [params['code'], params['code_verifier'], params['refresh_token']])
    ].filter((secret) => secret !== undefined && secret !== '')
    t.same(walk.findLeaks(secrets as string[]), [])
  })
}

const CLOUD_NAMES = Array.from({ length: 50 }, (_, index) => `${index}.txt`)
const REASONS: Readonly<Record<PageFault, string>> = {
  loops: 'duplicate-cursor',
  repeats: 'duplicate-cursor',
  skips: 'provider-partial',
  doubles: 'provider-partial'
}

for (const { id, rules, scopes, start } of REST_CLOUDS) {
  t.test(`${id}: incomplete pages never form a complete listing, and paging ends`, async (t) => {
    const asked = scopes === undefined ? {} : { scopes }
    const oauth = await FakeOAuth.start(t, { redirectUris: [cloudRedirectUri(id)], ...asked, ...rules })
    const cloud = await start(t, oauth)
    const walk = await startCloudApp(t, {
      provider: cloud.provider,
      registration: { clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET, ...asked },
      origins: cloud.origins,
      consent: (url) => oauth.consent(url)
    })
    await walk.connect()
    const faults = (Object.keys(REASONS) as PageFault[]).filter((fault) => fault !== 'skips' || cloud.reportsTotal)
    for (const fault of [undefined, ...faults]) {
      const name = fault ?? 'as it should be'
      cloud.setPageFault(undefined)
      cloud.seed(name, new Map(CLOUD_NAMES.map((each) => [each, each])))
      const { entries } = (await walk.list({ refresh: 'true' })).json() as Listing
      const folder = entries.find((entry) => entry.name === name)?.id ?? ''
      cloud.setPageFault(fault)

      const shown: string[] = []
      let page: Listing['page'] | undefined
      let pages = 0
      do {
        const cursor = page?.next ?? null
        const answer = await walk.list({ folder, limit: '10', ...(cursor !== null && { cursor }) })
        t.equal(answer.status, 200)
        shown.push(...namesOf(answer))
        page = (answer.json() as Listing).page
        pages += 1
      } while (page.next !== null && pages < 20)
      t.equal(page.next, null, `${name}: paging ends`)
      t.equal(new Set(shown).size, shown.length, `${name}: no entry is listed twice`)
      if (fault === undefined) t.match(page, { complete: true, reason: null }, name)
      else t.match(page, { complete: false, reason: REASONS[fault] }, name)
    }
  })
}
