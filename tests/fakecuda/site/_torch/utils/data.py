"""``torch.utils.data``: workers are processes that take the items from the dataset."""

import multiprocessing


class Dataset:
    pass


class DataLoader:
    def __init__(
        self, dataset, batch_size=1, num_workers=0, multiprocessing_context=None, **kwargs
    ):
        self.dataset = dataset
        self._workers = num_workers
        self._context = multiprocessing_context

    def __iter__(self):
        numbers = range(len(self.dataset))
        if not self._workers:
            return map(self.dataset.__getitem__, numbers)
        context = multiprocessing.get_context(self._context or "fork")
        with context.Pool(self._workers) as pool:
            return iter(pool.map(self.dataset.__getitem__, numbers))

    def __len__(self):
        return len(self.dataset)
