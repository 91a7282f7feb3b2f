import type { AgentOptions } from 'node:http'

/** How Node's agents keep the sockets of SDKs. There is nothing to close at the end of a process, see `timeout`. */
export const AGENT_OPTIONS: AgentOptions = {
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
