"""Next month's bill as an interval, option by option: how far each may vary, and how well that held before."""

from breakeven.studies.forecast.backtest import Trial, backtest
from breakeven.studies.forecast.result import BillForecast, Forecast
from breakeven.studies.forecast.study import Payer, forecast_bills, month_to_observed

__all__ = ["BillForecast", "Forecast", "Payer", "Trial", "backtest", "forecast_bills", "month_to_observed"]
