// The users of the benchmark. All servers authenticate with the same lookup, as cheap as possible: it is not measured.

/** The number of users that every server knows, and of those in the mixed load. */
export const USERS = 200

export const userOf = (index) => `user-${index}`
export const authorizationOf = (index) => `Bearer ${Buffer.from(`token of user ${index}`).toString('base64url')}`

/** Returns the plugin's `authenticate` for the first `count` users. */
export function authenticateFirst(count) {
  const byAuthorization = new Map(Array.from({ length: count }, (_, index) => [authorizationOf(index), userOf(index)]))
  return (request) => byAuthorization.get(request.headers.authorization)
}
