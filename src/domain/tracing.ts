/** The tracing of this package. */
export interface Tracing {
  /**
   * Runs `work` in a child span of the active one. If `work` fails, the span fails with the error's code alone. Names
   * and attributes must not contain ids, addresses or file names: traces have other readers than the data.
   */
  span<T>(name: string, attributes: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T>
}
