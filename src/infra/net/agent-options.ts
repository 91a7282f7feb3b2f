import type { AgentOptions } from 'node:http'

/** Options of Node's agents for SDKs. Nothing needs closing when the process ends, see `timeout`. */
export const AGENT_OPTIONS = {
  keepAlive: true,
  /**
   * Lifetime of an idle socket: shorter than common servers' idle timeouts (5 s and more), so that no call uses a
   * socket that the server is closing. Node unrefs idle sockets, so they do not keep the process alive.
   */
  timeout: 4000,
  /** Per origin: all users of a service share these sockets. Calls and bodies have separate agents. */
  maxSockets: 1000,
  maxFreeSockets: 64
} satisfies AgentOptions
