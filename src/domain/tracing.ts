/** What the operator's traces show of this package. */
export interface Tracing {
  /**
   * Does `work` in a span, below the one that is under way. The span fails with `work`, and of the failure it says the
   * code alone. Names and attributes are read by whoever reads traces: no id, no address and no name of a file.
   */
  span<T>(name: string, attributes: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T>
}
