import t from 'tap'
import type { Listing } from '../../src/domain/entry.ts'
import { cloudWalk, namesOf, walkRedirectUri } from '../support/cloud-walk.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } from '../fakes/oauth/rules.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import type { PageFault } from '../fakes/page-fault.ts'
import { WALKED_CLOUDS } from '../support/walked-clouds.ts'

const NAMES = Array.from({ length: 50 }, (_, index) => `${index}.txt`)
const REASONS: Readonly<Record<PageFault, string>> = {
  loops: 'duplicate-cursor',
  repeats: 'duplicate-cursor',
  skips: 'provider-partial',
  doubles: 'provider-partial'
}

for (const { id, rules, scopes, start } of WALKED_CLOUDS) {
  t.test(`${id}: pages that go wrong are no complete listing, and come to an end`, async (t) => {
    const asked = scopes === undefined ? {} : { scopes }
    const oauth = await FakeOAuth.start(t, { redirectUris: [walkRedirectUri(id)], ...asked, ...rules })
    const cloud = await start(t, oauth)
    const walk = await cloudWalk(t, {
      provider: cloud.provider,
      registration: { clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET, ...asked },
      origins: cloud.origins,
      consent: (url) => oauth.consent(url)
    })
    await walk.connect()
    const faults = (Object.keys(REASONS) as PageFault[]).filter((fault) => fault !== 'skips' || cloud.tellsHowMany)
    for (const fault of [undefined, ...faults]) {
      const name = fault ?? 'as it should be'
      cloud.misbehave(undefined)
      cloud.seed(name, new Map(NAMES.map((each) => [each, each])))
      const { entries } = (await walk.list({ refresh: 'true' })).json() as Listing
      const folder = entries.find((entry) => entry.name === name)?.id ?? ''
      cloud.misbehave(fault)

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
      t.equal(page.next, null, `${name}: there is an end`)
      t.equal(new Set(shown).size, shown.length, `${name}: nothing is shown twice`)
      if (fault === undefined) t.match(page, { complete: true, reason: null }, name)
      else t.match(page, { complete: false, reason: REASONS[fault] }, name)
    }
  })
}
