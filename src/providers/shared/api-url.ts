/** Builds a URL of an API. @param path percent-encoded where necessary */
export function apiUrl(origin: string, path: string, query: Readonly<Record<string, string>> = {}): URL {
  const url = new URL(path, origin)
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  return url
}
