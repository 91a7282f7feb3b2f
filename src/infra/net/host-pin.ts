/** Whether both lead to the same scheme, host and port. */
export function isSameOrigin(a: URL, b: URL): boolean {
  return a.origin === b.origin && a.origin !== 'null'
}

/**
 * Whether a URL from outside stays at the hosts that a provider declares: https, the default port, and a host that is
 * listed (`content.example.org`) or lies below a listed one (`*.example.org`).
 */
export function isAtDeclaredHost(url: URL, hosts: readonly string[]): boolean {
  if (url.protocol !== 'https:' || url.port !== '' || url.username !== '' || url.password !== '') return false
  return hosts.some((host) => (host.startsWith('*.') ? url.hostname.endsWith(host.slice(1)) : url.hostname === host))
}
