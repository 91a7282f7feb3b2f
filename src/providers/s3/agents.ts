import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'

/** Who opens the sockets of S3 clients, and keeps them for the next call. */
export interface S3Agents {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

const OPTIONS = {
  keepAlive: true,
  /**
   * How long an idle socket is kept: less than common servers keep theirs (5 s and more), or a call would now and
   * then be written to a socket that is just being closed. Node unrefs idle sockets: they keep no process alive.
   */
  timeout: 4000,
  /**
   * Per origin. All users of one service share these, and each body that is being downloaded holds one: the
   * default of 50 lets a few slow readers stop everyone else's listings.
   */
  maxSockets: 1000,
  maxFreeSockets: 64
}

/**
 * The sockets of all S3 clients of this process; there is nothing to close, see `timeout`. The host's own stores and
 * the users' connections have separate ones: a socket that was opened to a private address without the egress rules
 * must never carry a user's call to the same name.
 */
class SharedAgents {
  #managed: S3Agents | undefined
  #connected: S3Agents | undefined

  get managed(): S3Agents {
    return (this.#managed ??= create())
  }

  get connected(): S3Agents {
    return (this.#connected ??= create())
  }
}

function create(): S3Agents {
  return { http: new HttpAgent(OPTIONS), https: new HttpsAgent(OPTIONS) }
}

export const sharedAgents: { readonly managed: S3Agents; readonly connected: S3Agents } = new SharedAgents()
