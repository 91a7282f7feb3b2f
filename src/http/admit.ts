import type { onRequestHookHandler } from 'fastify'
import { type Authenticate, identify } from './authenticate.ts'
import { refuseCrossSite, type TrustedSites } from './cross-site.ts'
import { setUser } from './users.ts'

/** Authenticates requests and rejects cross-site changes; synchronously, unless `authenticate` returns a promise. */
export function admitKnown(authenticate: Authenticate, sites: TrustedSites): onRequestHookHandler {
  return (request, _reply, done) => {
    let user: string | Promise<string>
    try {
      user = identify(authenticate, request)
      if (typeof user === 'string') {
        setUser(request, user)
        refuseCrossSite(request, sites)
      }
    } catch (error) {
      done(error as Error)
      return
    }
    if (typeof user === 'string') {
      done()
      return
    }
    user
      .then((userId) => {
        setUser(request, userId)
        refuseCrossSite(request, sites)
      })
      .then(() => {
        done()
      }, done)
  }
}
