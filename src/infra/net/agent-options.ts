import type { AgentOptions } from 'node:http'

/** How Node's agents keep the sockets of SDKs. There is nothing to close at the end of a process, see `timeout`. */
export const AGENT_OPTIONS = {
  keepAlive: true,
  /**
   * How long an idle socket is kept: less than common servers keep theirs (5 s and more), or a call would now and
   * then be written to a socket that is just being closed. Node unrefs idle sockets: they keep no process alive.
   */
  timeout: 4000,
  /** Per origin: all users of one service share these. Calls and bodies have agents of their own. */
  maxSockets: 1000,
  maxFreeSockets: 64
} satisfies AgentOptions
