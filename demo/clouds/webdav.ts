import { FakeDav } from '../../test/fakes/dav/fake-dav.ts'
import type { Lifetime } from '../../test/fakes/lifetime.ts'
import { fillDav } from '../content/dav.ts'

/** The values for the form. */
export interface DavLogin {
  readonly baseUrl: string
  readonly username: string
  readonly password: string
}

export interface DemoDav {
  readonly login: DavLogin
  readonly dav: FakeDav
}

const USERNAME = 'demo'
/** Not a secret: every user of this machine may see the samples. */
const PASSWORD = 'open sesame'

export async function startDav(lifetime: Lifetime): Promise<DemoDav> {
  const dav = await FakeDav.start(lifetime, {
    auth: {
      type: 'basic',
      realm: 'Demo',
      accepts: (username, password) => username === USERNAME && password === PASSWORD
    }
  })
  fillDav(dav.tree)
  return { dav, login: { baseUrl: dav.url, username: USERNAME, password: PASSWORD } }
}
