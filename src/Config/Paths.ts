interface Node<A> {
  readonly here: Array<A>
  readonly beneath: Map<string, Node<A>>
}

const empty = <A>(): Node<A> => ({ here: [], beneath: new Map() })

/** What is known of dotted paths, to be found from any path that it has to do with. */
export class Paths<A> {
  private readonly root: Node<A> = empty()

  add(path: string, known: A): void {
    let node = this.root
    for (const name of path.split(".")) {
      let next = node.beneath.get(name)
      if (next === undefined) {
        next = empty()
        node.beneath.set(name, next)
      }
      node = next
    }
    node.here.push(known)
  }

  /** What is known of the path, of the sections around it, and of all beneath it. */
  touching(path: string): Array<A> {
    const found: Array<A> = []
    let node = this.root
    for (const name of path.split(".")) {
      const next = node.beneath.get(name)
      if (next === undefined) return found
      node = next
      found.push(...node.here)
    }
    collect(node, found)
    return found
  }
}

const collect = <A>(node: Node<A>, into: Array<A>): void => {
  for (const next of node.beneath.values()) {
    into.push(...next.here)
    collect(next, into)
  }
}
