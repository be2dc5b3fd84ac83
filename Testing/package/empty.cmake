# Nothing is packaged here.
