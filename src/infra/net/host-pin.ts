/** Returns true if both have the same scheme, host and port. */
export function isSameOrigin(a: URL, b: URL): boolean {
  return a.origin === b.origin && a.origin !== 'null'
}

/** Returns true for http and https at the same host. Proxies that do not forward the scheme cause such URLs. */
export function isOtherScheme(a: URL, b: URL): boolean {
  const isHttp = (url: URL): boolean => url.protocol === 'http:' || url.protocol === 'https:'
  return isHttp(a) && isHttp(b) && a.hostname === b.hostname && a.protocol !== b.protocol
}

/**
 * Returns true if an external URL stays at the hosts that a provider declares: https, the default port, and a host
 * that is listed (`content.example.org`) or is below a listed one (`*.example.org`).
 */
export function isAtDeclaredHost(url: URL, hosts: readonly string[]): boolean {
  if (url.protocol !== 'https:' || url.port !== '' || url.username !== '' || url.password !== '') return false
  return hosts.some((host) => (host.startsWith('*.') ? url.hostname.endsWith(host.slice(1)) : url.hostname === host))
}
