"""Attention of one sample and one head: loops over queries and values, from the papers' equations."""

import numpy as np


def weights(query, key, score, reads):
    """[Tq, Tv]: softmax of score(query i, key j) over the values j that query i reads; 0 elsewhere."""
    found = np.zeros((len(query), len(key)))
    for i in range(len(query)):
        chosen = [j for j in range(len(key)) if reads[i, j]]
        if not chosen:
            continue
        scores = np.array([score(query[i], key[j]) for j in chosen])
        raised = np.exp(scores - scores.max())
        found[i, chosen] = raised / raised.sum()
    return found


def attend(query, key, value, score, reads):
    """(y [Tq, D], weights [Tq, Tv])."""
    of_values = weights(query, key, score, reads)
    y = np.zeros((len(query), value.shape[1]))
    for i in range(len(query)):
        for j in range(len(key)):
            if reads[i, j]:
                y[i] += of_values[i, j] * value[j]
    return y, of_values


def dot(query, key):
    """M.-T. Luong et al. 2015."""
    return sum(query * key)


def multi_head(query, key, value, parameters, reads):
    """y [Tq, F] of A. Vaswani et al. 2017; parameters: kernel and bias of query, key, value, output."""
    (wq, bq), (wk, bk), (wv, bv), (wo, bo) = parameters
    heads = []
    for h in range(wq.shape[1]):
        q, k, v = query @ wq[:, h] + bq[h], key @ wk[:, h] + bk[h], value @ wv[:, h] + bv[h]
        heads.append(attend(q, k, v, lambda a, b: sum(a * b) / np.sqrt(len(a)), reads)[0])
    return np.stack([sum(heads[h][i] @ wo[h] for h in range(len(heads))) + bo for i in range(len(query))])
